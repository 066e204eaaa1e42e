//! Names as compilers write them, and what they tell.

use super::*;

/// The type that frames of these functions tell.
fn told(functions: &[&str]) -> String {
    let frame = |function: &&str| Frame { function: (*function).to_owned(), ..Frame::default() };
    of(&functions.iter().map(frame).collect::<Vec<_>>())
}

#[test]
fn one_name_is_enough() {
    let table = [
        ("<alloc::boxed::Box<app::Order>>::new", "app::Order"),
        ("alloc::boxed::Box<T,A>::new_uninit_in<app::Order, alloc::alloc::Global>", "app::Order"),
        ("alloc::boxed::new<app::Order>", "app::Order"),
        ("<alloc::vec::Vec<u8> as core::clone::Clone>::clone", "Vec<u8>"),
        ("<alloc::vec::Vec<alloc::vec::Vec<u8>>>::push", "Vec<Vec<u8>>"),
        (
            "alloc::vec::Vec<T,A>::push<(u32, [app::Order; 4]), alloc::alloc::Global>",
            "Vec<(u32, [app::Order; 4])>",
        ),
        (
            "alloc::vec::push<fn(u64) -> app::Order, alloc::alloc::Global>",
            "Vec<fn(u64) -> app::Order>",
        ),
        (
            "<hashbrown::map::HashMap<u32, app::Order, std::hash::random::RandomState>>::insert",
            "HashMap<u32, app::Order>",
        ),
        ("hashbrown::map::HashMap<K,V,S,A>::insert<app::Order, (), S, A>", "HashSet<app::Order>"),
        ("<alloc::string::String as core::fmt::Write>::write_str", "String"),
        ("<alloc::sync::Arc<[app::Order]>>::allocate_for_slice", "Arc<[app::Order]>"),
        (
            "alloc::sync::Arc<[T],A>::allocate_for_slice<app::Order, alloc::alloc::Global>",
            "Arc<[app::Order]>",
        ),
    ];
    for (function, kind) in table {
        assert_eq!(told(&[function]), kind, "{function}");
    }
}

#[test]
fn what_is_not_known_is_not_guessed() {
    let table = [
        "alloc::boxed::Box<T>::new",
        "alloc::raw_vec::RawVecInner<A>::finish_grow<alloc::alloc::Global>",
        "<alloc::raw_vec::RawVecInner<_>>::reserve::do_reserve_and_handle::<alloc::alloc::Global>",
        "hashbrown::map::HashMap<K,V,S,A>::insert",
        "app::Box<u8>::new",
        "std::vector<int>::push_back",
        "malloc",
        "",
        "<",
        "<<<<::>>>>",
        ">::<",
        "alloc::vec::<>",
        "alloc::vec::Vec<::push<>",
    ];
    for function in table {
        assert_eq!(told(&[function]), "", "{function}");
    }
}

#[test]
fn what_holds_the_container_tells_more() {
    let rc = ["<alloc::boxed::Box<alloc::rc::RcInner<u8>>>::new", "<alloc::rc::Rc<u8>>::new"];
    assert_eq!(told(&rc), "Rc<u8>");
    // The strings that are cloned with a list are strings.
    let clone = [
        "<alloc::vec::Vec<u8> as core::clone::Clone>::clone",
        "<alloc::string::String as core::clone::Clone>::clone",
        "<alloc::vec::Vec<alloc::string::String> as core::clone::Clone>::clone",
    ];
    assert_eq!(told(&clone), "String");
    // What the program's own functions do with it is another matter.
    let own = [
        "<alloc::vec::Vec<u8>>::push",
        "app::push",
        "<alloc::collections::vec_deque::VecDeque<u8>>::push_back",
    ];
    assert_eq!(told(&own), "Vec<u8>");
}
