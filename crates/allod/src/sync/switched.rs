//! Atomics before each of which another thread may run: `cfg(shuttle)` only.
//!
//! Shuttle runs the threads of a test one at a time and chooses, at each switch, who
//! goes on. Its own atomics cannot stand in for ours: they are larger, and ours lie in
//! memory that is right as zeros. So these are the real ones, with a switch before each
//! operation. Orderings change nothing here: all is sequentially consistent, and a
//! weak ordering is loom's to find. What shuttle finds is an order of steps.
//!
//! Outside of an execution nothing switches.
#![allow(unreachable_pub, missing_docs, reason = "fields of the public pages are of these types")]

use core::sync::atomic::{self, Ordering};

/// Lets the scheduler choose who goes on.
pub(super) fn point() {
    if shuttle::current::try_get_current_task().is_some() {
        shuttle::thread::sleep(core::time::Duration::ZERO);
    }
}

macro_rules! passed_on {
    ($($operation:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {$(
        #[allow(dead_code, reason = "not every width has a use for all of them")]
        pub(crate) fn $operation(&self, $($argument: $type),*) -> $result {
            point();
            self.0.$operation($($argument),*)
        }
    )*};
}

macro_rules! exchanges {
    ($value:ty) => {
        passed_on! {
            load(order: Ordering) -> $value;
            store(value: $value, order: Ordering) -> ();
            swap(value: $value, order: Ordering) -> $value;
            compare_exchange(old: $value, new: $value, good: Ordering, bad: Ordering)
                -> Result<$value, $value>;
            compare_exchange_weak(old: $value, new: $value, good: Ordering, bad: Ordering)
                -> Result<$value, $value>;
        }
    };
}

macro_rules! numbers {
    ($($name:ident: $value:ty;)*) => {$(
        #[repr(transparent)]
        #[derive(Debug)]
        pub struct $name(atomic::$name);

        impl $name {
            pub(crate) const fn new(value: $value) -> Self {
                Self(atomic::$name::new(value))
            }

            #[allow(dead_code, reason = "the kernel waits on one width")]
            pub(crate) const fn as_ptr(&self) -> *mut $value {
                self.0.as_ptr()
            }

            exchanges!($value);
            passed_on! {
                fetch_add(value: $value, order: Ordering) -> $value;
                fetch_sub(value: $value, order: Ordering) -> $value;
                fetch_and(value: $value, order: Ordering) -> $value;
                fetch_or(value: $value, order: Ordering) -> $value;
                fetch_max(value: $value, order: Ordering) -> $value;
            }
        }
    )*};
}

numbers! {
    AtomicU8: u8;
    AtomicU16: u16;
    AtomicU32: u32;
    AtomicU64: u64;
    AtomicUsize: usize;
}

#[repr(transparent)]
#[derive(Debug)]
pub struct AtomicBool(atomic::AtomicBool);

impl AtomicBool {
    pub(crate) const fn new(value: bool) -> Self {
        Self(atomic::AtomicBool::new(value))
    }

    exchanges!(bool);
}

#[repr(transparent)]
#[derive(Debug)]
pub struct AtomicPtr<T>(atomic::AtomicPtr<T>);

impl<T> AtomicPtr<T> {
    pub(crate) const fn new(value: *mut T) -> Self {
        Self(atomic::AtomicPtr::new(value))
    }

    exchanges!(*mut T);
}
