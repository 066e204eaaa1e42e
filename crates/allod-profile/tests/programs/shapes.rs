//! Allocates in every way there is, and prints from where.
//!
//! For each shape one line: its name and the return addresses, innermost first. Then
//! the mappings of the process. The tests find names and types for the addresses.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What most of the containers hold.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Order {
    number: u64,
    price: [u64; 6],
}

pub mod parser {
    /// A type in a module, with a parameter.
    pub struct Token<T> {
        pub text: [T; 9],
    }
}

struct Watching;

static WATCH: AtomicBool = AtomicBool::new(false);
static DEPTH: AtomicUsize = AtomicUsize::new(0);
static mut STACK: [usize; 64] = [0; 64];

unsafe extern "C" {
    fn backtrace(buffer: *mut usize, size: i32) -> i32;
}

unsafe impl GlobalAlloc for Watching {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if WATCH.swap(false, Ordering::Relaxed) {
            let depth = unsafe { backtrace(&raw mut STACK as *mut usize, 64) };
            DEPTH.store(depth as usize, Ordering::Relaxed);
        }
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static GLOBAL: Watching = Watching;

fn order(number: u64) -> Order {
    Order { number: black_box(number), price: [number; 6] }
}

/// Runs a shape with the next allocation watched.
#[inline(never)]
fn shape<T>(name: &str, make: impl FnOnce() -> T) {
    DEPTH.store(0, Ordering::Relaxed);
    WATCH.store(true, Ordering::Relaxed);
    let value = make();
    WATCH.store(false, Ordering::Relaxed);
    black_box(&value);
    let depth = DEPTH.load(Ordering::Relaxed);
    let stack = unsafe { *(&raw const STACK) };
    let stack: Vec<String> = stack[..depth].iter().map(|pc| format!("{pc:x}")).collect();
    println!("{name} {}", stack.join(" "));
}

fn main() {
    // What it needs itself is there before anything is watched.
    unsafe { backtrace(&raw mut STACK as *mut usize, 64) };
    shape("box", || Box::new(order(1)));
    shape("box_generic", || Box::new(parser::Token { text: [black_box(1_u8); 9] }));
    shape("rc", || Rc::new(order(2)));
    shape("arc", || Arc::new(order(3)));
    shape("vec_with_capacity", || Vec::<Order>::with_capacity(black_box(10)));
    shape("vec_push", || {
        let mut list = Vec::new();
        list.push(order(4));
        list
    });
    shape("vec_macro", || vec![order(5); black_box(3)]);
    shape("vec_collect", || (0..black_box(9)).map(order).collect::<Vec<Order>>());
    shape("vec_deque", || {
        let mut queue = VecDeque::new();
        queue.push_back(order(6));
        queue
    });
    shape("hash_map", || {
        let mut map = HashMap::new();
        map.insert(black_box(7_u32), order(7));
        map
    });
    shape("hash_set", || {
        let mut set = HashSet::new();
        set.insert(order(8));
        set
    });
    shape("btree_map", || {
        let mut map = BTreeMap::new();
        map.insert(black_box(9_u32), order(9));
        map
    });
    shape("btree_set", || {
        let mut set = BTreeSet::new();
        set.insert(order(10));
        set
    });
    shape("binary_heap", || {
        let mut heap = BinaryHeap::new();
        heap.push(order(11));
        heap
    });
    shape("linked_list", || {
        let mut list = LinkedList::new();
        list.push_back(order(12));
        list
    });
    shape("string", || String::from(black_box("text")));
    shape("string_push", || {
        let mut text = String::new();
        text.push_str(black_box("some text"));
        text
    });
    shape("format", || format!("{}", black_box(12345)));
    shape("arc_slice", || Arc::<[Order]>::from(vec_of_two()));
    shape("boxed_closure", || {
        let captured = order(13);
        Box::new(move || captured.price[0]) as Box<dyn Fn() -> u64>
    });
    print!("maps\n{}", std::fs::read_to_string("/proc/self/maps").expect("the mappings"));
}

fn vec_of_two() -> Vec<Order> {
    // Watched is the allocation after this one.
    WATCH.store(false, Ordering::Relaxed);
    let list = vec![order(1), order(2)];
    WATCH.store(true, Ordering::Relaxed);
    list
}
