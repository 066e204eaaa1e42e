//! What the allocator says of itself.
#![forbid(unsafe_code)]

use crate::size::CLASSES;

mod write;

/// Figures of one size class. Counts are blocks; sizes are bytes.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ClassStats {
    /// Bytes of a block.
    pub block_size: usize,
    /// Spans of this class.
    pub spans: usize,
    /// Blocks that those spans have room for.
    pub capacity: usize,
    /// Blocks that those spans have carved so far.
    pub carved: usize,
    /// Blocks in the program's hands.
    pub in_use: usize,
    /// Free blocks in threads' front lists. What other running threads have there is
    /// as of their last visit to a slow path of the class.
    pub cached: usize,
}

/// Figures of one thread that has a heap.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ThreadStats {
    /// As the kernel numbers it; 0 when it is not known.
    pub thread: u64,
    /// Blocks that its heap has handed out: a count. A heap that an exited thread has
    /// left counts on under the next thread.
    pub allocations: usize,
    /// Frees of other threads' blocks by this heap: a count.
    pub remote_frees: usize,
    /// Bytes of free blocks in its front lists, as of its last visits to a slow path.
    pub cached: usize,
}

/// Figures of the whole allocator, in bytes unless said otherwise.
///
/// The sums: `allocated` is the classes' blocks in use plus `large` plus
/// `huge`; `active` is the slices and mappings that hold them: `allocated` plus
/// `cached`, `free_blocks` and `uncarved`; `resident` is
/// what of `active`, `retained` and never touched parts has memory behind it,
/// as the kernel says.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Which allocator serves: ours, or the platform's.
    pub backend: Backend,
    /// Blocks, large and huge objects in use.
    pub allocated: usize,
    /// Most of `allocated` at one moment, to within 16 KiB a thread.
    pub peak_allocated: usize,
    /// Slices and mappings in use, and of guarded objects what was asked for.
    pub active: usize,
    /// Bytes of ours that have memory behind them.
    pub resident: usize,
    /// Address space of ours.
    pub mapped: usize,
    /// Free memory kept for the next allocation.
    pub retained: usize,
    /// Our own records.
    pub metadata: usize,
    /// Free blocks in threads' front lists; see [`ClassStats::cached`].
    pub cached: usize,
    /// Free blocks in spans.
    pub free_blocks: usize,
    /// Parts of spans that were never carved. Most of them have no memory behind them.
    pub uncarved: usize,
    /// Objects of more than 32 KiB and up to 1 MiB, and guarded ones of any size.
    pub large: usize,
    /// Those of them that have slices, guarded ones apart: a count.
    pub large_objects: usize,
    /// Objects with a mapping of their own.
    pub huge: usize,
    /// Those: a count.
    pub huge_objects: usize,
    /// Blocks and objects ever handed out: a count.
    pub allocations: usize,
    /// Frees by a thread that was not the block's owner: a count.
    pub remote_frees: usize,
    /// Threads that have a heap: a count.
    pub threads: usize,
    /// Most threads with a heap at one moment: a count.
    pub peak_threads: usize,
    /// System calls made: a count.
    pub system_calls: usize,
    /// Time spent in them, when it is measured (under `allod run`).
    pub system_nanoseconds: u64,
    /// Memory given back to the system, ever.
    pub purged: usize,
    /// Bytes that `realloc` has copied, ever.
    pub copied: usize,
    /// Class by class.
    pub classes: [ClassStats; CLASSES],
}

/// Who serves the allocations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backend {
    /// Allod.
    #[default]
    Allod,
    /// The platform's allocator: this target or tool has no backend of ours, or
    /// the feature `system` is on. The figures are then all 0.
    System,
}

impl Default for Stats {
    fn default() -> Self {
        let none =
            ClassStats { block_size: 0, spans: 0, capacity: 0, carved: 0, in_use: 0, cached: 0 };
        Self {
            backend: Backend::Allod,
            allocated: 0,
            peak_allocated: 0,
            active: 0,
            resident: 0,
            mapped: 0,
            retained: 0,
            metadata: 0,
            cached: 0,
            free_blocks: 0,
            uncarved: 0,
            large: 0,
            large_objects: 0,
            huge: 0,
            huge_objects: 0,
            allocations: 0,
            remote_frees: 0,
            threads: 0,
            peak_threads: 0,
            system_calls: 0,
            system_nanoseconds: 0,
            purged: 0,
            copied: 0,
            classes: [none; CLASSES],
        }
    }
}
