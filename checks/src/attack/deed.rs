//! A deed: the one wrong thing that a trial does, as a value, so that this
//! thread or another can do it.
//!
//! The other thread is started before anything happens, because starting one
//! allocates. It takes one deed at a time out of a static word and has no
//! memory of its own that an overflow could reach.
#![allow(unsafe_code)]

use allod_checks::c::{Pointer, functions, symbol};
use std::ffi::c_void;
use std::hint::black_box;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

/// Something that a program does to a pointer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deed {
    /// `free`
    Free(Pointer),
    /// `free_sized`, where there is one; else sized `delete`.
    FreeSized(Pointer, usize),
    /// `free_aligned_sized`, where there is one; else sized and aligned `delete`.
    FreeAlignedSized(Pointer, usize, usize),
    /// `operator delete(void*)`
    Delete(Pointer),
    /// `operator delete(void*, size_t)`
    DeleteSized(Pointer, usize),
    /// `operator delete[](void*)`
    DeleteArray(Pointer),
    /// `realloc`; what it returns is forgotten.
    Realloc(Pointer, usize),
    /// Changes bytes, one after the other, upwards. All of them.
    Write(Pointer, usize),
    /// Puts words there.
    Plant(Pointer, [usize; 2]),
    /// Counts the bytes that have the value.
    Look(Pointer, usize, u8),
}

/// The operators of C++. A program without C++ has them where its allocator has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operators {
    pub(crate) new: Option<unsafe extern "C" fn(usize) -> Pointer>,
    pub(crate) new_array: Option<unsafe extern "C" fn(usize) -> Pointer>,
    delete: Option<unsafe extern "C" fn(Pointer)>,
    delete_array: Option<unsafe extern "C" fn(Pointer)>,
    delete_sized: Option<unsafe extern "C" fn(Pointer, usize)>,
    delete_sized_aligned: Option<unsafe extern "C" fn(Pointer, usize, usize)>,
}

/// The operators of this process. Loads the C++ library if nobody has them.
pub(crate) fn operators() -> &'static Operators {
    static FOUND: OnceLock<Operators> = OnceLock::new();
    FOUND.get_or_init(|| {
        if symbol(c"_Znwm").is_none() {
            let how = libc::RTLD_NOW | libc::RTLD_GLOBAL;
            // SAFETY: the C++ library's constructors disturb nobody.
            unsafe { libc::dlopen(c"libstdc++.so.6".as_ptr(), how) };
        }
        macro_rules! operator {
            ($name:literal as $type:ty) => {
                // SAFETY: the operator of this mangled name has this type.
                symbol($name).map(|it| unsafe { std::mem::transmute::<Pointer, $type>(it) })
            };
        }
        Operators {
            new: operator!(c"_Znwm" as unsafe extern "C" fn(usize) -> Pointer),
            new_array: operator!(c"_Znam" as unsafe extern "C" fn(usize) -> Pointer),
            delete: operator!(c"_ZdlPv" as unsafe extern "C" fn(Pointer)),
            delete_array: operator!(c"_ZdaPv" as unsafe extern "C" fn(Pointer)),
            delete_sized: operator!(c"_ZdlPvm" as unsafe extern "C" fn(Pointer, usize)),
            delete_sized_aligned: operator!(
                c"_ZdlPvmSt11align_val_t" as unsafe extern "C" fn(Pointer, usize, usize)
            ),
        }
    })
}

/// Calls a function that may be missing with what follows. True when it is there.
macro_rules! call {
    ($function:expr, $($argument:expr),*) => {{
        let function = $function;
        if let Some(function) = function {
            // SAFETY: often it is not, on purpose: that is what is being tried.
            let _ = unsafe { function($(black_box($argument)),*) };
        }
        function.is_some()
    }};
}

impl Deed {
    /// Does it. The number is that of [`Deed::Look`].
    pub(crate) fn commit(self) -> usize {
        let (c, cxx) = (functions(), operators());
        match self {
            Deed::Free(p) => call!(c.free, p),
            Deed::FreeSized(p, size) => {
                call!(c.free_sized, p, size) || call!(cxx.delete_sized, p, size)
            }
            Deed::FreeAlignedSized(p, align, size) => {
                call!(c.free_aligned_sized, p, align, size)
                    || call!(cxx.delete_sized_aligned, p, size, align)
            }
            Deed::Delete(p) => call!(cxx.delete, p),
            Deed::DeleteSized(p, size) => call!(cxx.delete_sized, p, size),
            Deed::DeleteArray(p) => call!(cxx.delete_array, p),
            Deed::Realloc(p, size) => call!(c.realloc, p, size),
            Deed::Write(p, count) => {
                (0..count).for_each(|place| change(p.cast::<u8>().wrapping_add(place)));
                true
            }
            Deed::Plant(p, words) => {
                for (place, word) in words.into_iter().enumerate() {
                    // SAFETY: the caller knows that the memory is mapped, whoever has it.
                    unsafe { p.cast::<usize>().wrapping_add(place).write_unaligned(word) };
                }
                true
            }
            Deed::Look(p, count, value) => {
                let seen = (0..count).filter(|place| {
                    // SAFETY: it is not always, on purpose.
                    unsafe { p.cast::<u8>().wrapping_add(*place).read_volatile() == value }
                });
                return seen.count();
            }
        };
        0
    }

    /// The memory that the deed itself touches.
    pub(crate) fn touches(self) -> Option<(usize, usize)> {
        match self {
            Deed::Write(p, count) | Deed::Look(p, count, _) => Some((p.addr(), count)),
            Deed::Plant(p, words) => Some((p.addr(), size_of_val(&words))),
            _ => None,
        }
    }
}

/// Gives a byte another value.
fn change(byte: *mut u8) {
    // SAFETY: it is not always, on purpose.
    let value = unsafe { byte.read_volatile() };
    // SAFETY: as above.
    unsafe { byte.write_volatile(value ^ 0x5b) }
}

/// The deed that the other thread is to do, with its result.
struct Order {
    deed: Deed,
    result: usize,
}

static ORDER: AtomicPtr<Order> = AtomicPtr::new(ptr::null_mut());
static STATE: AtomicU8 = AtomicU8::new(IDLE);

const IDLE: u8 = 0;
const ORDERED: u8 = 1;
const DONE: u8 = 2;
const GO_HOME: u8 = 3;

/// Another thread of the program.
#[derive(Debug)]
pub(crate) struct Other(libc::pthread_t);

impl Other {
    /// Starts it. `None` when the process can have no other thread.
    pub(crate) fn start() -> Option<Other> {
        let mut thread = 0;
        // SAFETY: the thread's function takes no argument and lives as long as the program.
        let error =
            unsafe { libc::pthread_create(&raw mut thread, ptr::null(), serve, ptr::null_mut()) };
        (error == 0).then_some(Other(thread))
    }

    /// Has it do a deed, and waits.
    pub(crate) fn commit(&self, deed: Deed) -> usize {
        let mut order = Order { deed, result: 0 };
        // ORDERING: Relaxed, the state carries it.
        ORDER.store(&raw mut order, Ordering::Relaxed);
        // ORDERING: Release pairs with the Acquire in `serve`.
        STATE.store(ORDERED, Ordering::Release);
        // ORDERING: Acquire pairs with the Release in `serve`.
        while STATE.load(Ordering::Acquire) != DONE {
            std::thread::yield_now();
        }
        order.result
    }

    /// Lets it end, as threads do.
    pub(crate) fn end(self) {
        // ORDERING: Release pairs with the Acquire in `serve`.
        STATE.store(GO_HOME, Ordering::Release);
        // SAFETY: the thread is ours and nobody has joined it.
        unsafe { libc::pthread_join(self.0, ptr::null_mut()) };
    }
}

extern "C" fn serve(_: *mut c_void) -> *mut c_void {
    loop {
        // ORDERING: Acquire pairs with the Releases of the first thread.
        match STATE.load(Ordering::Acquire) {
            ORDERED => {
                // ORDERING: Relaxed, carried by the state.
                let order = ORDER.load(Ordering::Relaxed);
                // SAFETY: the first thread waits in `commit` and has left us its order.
                let order = unsafe { &mut *order };
                order.result = order.deed.commit();
                // ORDERING: Release pairs with the Acquire in `commit`.
                STATE.store(DONE, Ordering::Release);
            }
            GO_HOME => return ptr::null_mut(),
            _ => std::thread::yield_now(),
        }
    }
}
