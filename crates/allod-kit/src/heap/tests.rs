//! `Heap`
