//! The functions of C and C++, by name, when the program runs.
//!
//! The loader would resolve `malloc` for us as well. But a compiler knows what
//! a call of `malloc` means and may leave it out, and some of these functions
//! are in no library that a linker sees. So all are asked for by name, and one
//! that nobody has is `None`.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::PathBuf;
use std::sync::OnceLock;

/// A pointer as C has it.
pub type Pointer = *mut c_void;

macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// Every function of the malloc family that the process has.
        #[derive(Debug)]
        pub struct Functions {
            $(
                #[doc = concat!("`", stringify!($name), "`")]
                pub $name: Option<unsafe extern "C" fn($($argument),*) $(-> $result)?>,
            )*
        }

        impl Functions {
            fn find() -> Functions {
                Functions {$(
                    $name: {
                        type Function = unsafe extern "C" fn($($argument),*) $(-> $result)?;
                        let name = concat!(stringify!($name), "\0");
                        let found = CStr::from_bytes_with_nul(name.as_bytes()).ok().and_then(symbol);
                        // SAFETY: the symbol of this name has this type; the table below says so.
                        found.map(|address| unsafe { std::mem::transmute::<Pointer, Function>(address) })
                    },
                )*}
            }
        }
    };
}

functions! {
    malloc: fn(usize) -> Pointer;
    calloc: fn(usize, usize) -> Pointer;
    realloc: fn(Pointer, usize) -> Pointer;
    reallocarray: fn(Pointer, usize, usize) -> Pointer;
    free: fn(Pointer);
    free_sized: fn(Pointer, usize);
    free_aligned_sized: fn(Pointer, usize, usize);
    posix_memalign: fn(*mut Pointer, usize, usize) -> c_int;
    aligned_alloc: fn(usize, usize) -> Pointer;
    memalign: fn(usize, usize) -> Pointer;
    valloc: fn(usize) -> Pointer;
    pvalloc: fn(usize) -> Pointer;
    malloc_usable_size: fn(Pointer) -> usize;
    malloc_trim: fn(usize) -> c_int;
    mallinfo: fn() -> Info<c_int>;
    mallinfo2: fn() -> Info<usize>;
    malloc_info: fn(c_int, *mut libc::FILE) -> c_int;
    malloc_stats: fn();
    mallopt: fn(c_int, c_int) -> c_int;
    allod_dump: fn(*const c_char) -> c_int;
    allod_profile_interval: fn(usize) -> c_int;
}

/// `struct mallinfo` and `struct mallinfo2`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names are glibc's; see mallinfo(3)")]
pub struct Info<T> {
    pub arena: T,
    pub ordblks: T,
    pub smblks: T,
    pub hblks: T,
    pub hblkhd: T,
    pub usmblks: T,
    pub fsmblks: T,
    pub uordblks: T,
    pub fordblks: T,
    pub keepcost: T,
}

/// The functions of this process.
pub fn functions() -> &'static Functions {
    static FOUND: OnceLock<Functions> = OnceLock::new();
    FOUND.get_or_init(Functions::find)
}

/// The address of a symbol, as any program in this process would find it.
pub fn symbol(name: &CStr) -> Option<Pointer> {
    // SAFETY: the name ends in a zero.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!address.is_null()).then_some(address)
}

/// The file that an address was loaded from.
#[expect(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "`dladdr` looks the address up, not through it"
)]
pub fn library_of(address: Pointer) -> Option<PathBuf> {
    let mut about = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `dladdr` takes any address, and `about` can be written.
    let known = unsafe { libc::dladdr(address, about.as_mut_ptr()) };
    // SAFETY: zeros are a `Dl_info`, and so is what `dladdr` wrote.
    let about = unsafe { about.assume_init() };
    if known == 0 || about.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader's names end in a zero and live as long as the library.
    let name = unsafe { CStr::from_ptr(about.dli_fname) };
    let path = PathBuf::from(name.to_str().ok()?);
    Some(path.canonicalize().unwrap_or(path))
}

/// The file whose `malloc` serves this process.
pub fn who_serves() -> Option<PathBuf> {
    symbol(c"malloc").and_then(library_of)
}

/// True when the library that has `malloc` has this symbol too.
pub fn served_with_malloc(name: &CStr) -> bool {
    symbol(name).is_some_and(|address| library_of(address) == who_serves())
}

/// This thread's `errno`.
pub fn errno() -> c_int {
    // SAFETY: the C library answers with this thread's own place.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    unsafe { place.read() }
}

/// Sets this thread's `errno`.
pub fn set_errno(value: c_int) {
    // SAFETY: the C library answers with this thread's own place.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    unsafe { place.write(value) }
}
