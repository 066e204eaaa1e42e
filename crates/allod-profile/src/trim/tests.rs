//! Which functions are the allocator's.

use super::*;

#[test]
fn allocation_is_told_from_use() {
    let allocation = [
        "malloc",
        "operator new",
        "operator new[]",
        "__rust_alloc",
        "__rustc::__rust_alloc_zeroed",
        "alloc::alloc::alloc",
        "alloc::alloc::Global::alloc_impl",
        "<alloc::alloc::Global as core::alloc::Allocator>::allocate",
        "<app::Counting as core::alloc::global::GlobalAlloc>::alloc",
        "<allod::Allod as core::alloc::global::GlobalAlloc>::alloc",
        "std::__new_allocator<int>::allocate",
        "std::allocator_traits<std::allocator<int> >::allocate",
    ];
    for function in allocation {
        assert!(is_allocation(function), "{function}");
    }
    let not = [
        "",
        "main",
        "app::malloc",
        "my_malloc",
        "alloc::vec::Vec<T>::push",
        "<app::Order as core::clone::Clone>::clone",
        "std::vector<int>::push_back",
        "allodium::start",
        "<",
    ];
    for function in not {
        assert!(!is_allocation(function), "{function}");
    }
}

#[test]
fn a_stack_keeps_a_frame() {
    let frame = |name: &str| Frame { function: name.into(), ..Frame::default() };
    let named = |names: &[&str]| inner(&names.iter().map(|it| frame(it)).collect::<Vec<_>>(), &[]);
    assert_eq!(named(&["malloc", "strdup", "malloc", "main"]), 1);
    assert_eq!(named(&["main"]), 0);
    assert_eq!(named(&["malloc", "operator new"]), 1);
    assert_eq!(named(&[]), 0);
}

#[test]
fn the_allocators_file_is_the_allocators() {
    let modules = [Module { is_allod: true, ..Module::default() }, Module::default()];
    let frame = |module| Frame { module: Some(module), ..Frame::default() };
    assert_eq!(inner(&[frame(0), frame(0), frame(1), frame(0)], &modules), 2);
}
