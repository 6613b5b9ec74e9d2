//! Memory that nobody uses any more.

/// Gives freed memory back to the system, which the C library keeps for later.
///
/// A snapshot of a large cluster needs for a moment what is never needed again. Takes milliseconds; other threads that
/// allocate may wait so long. Does nothing where the C library has no such thing.
pub fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "the C library's own call")]
    // SAFETY: it takes the allocator's own locks and touches only what is free; there is nothing to get wrong.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    /// The resident memory of this process, in bytes.
    fn resident() -> usize {
        let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
        let pages: usize = pages.split(' ').nth(1).expect("its second field").parse().expect("a number");
        pages * 4096
    }

    #[test]
    fn freed_memory_goes_back_to_the_system() {
        // Pieces so small that the C library keeps them, with one at the end that stays.
        let pieces: Vec<Box<[u8]>> = (0..200_000).map(|_| vec![1; 200].into_boxed_slice()).collect();
        let stays = vec![1_u8; 200].into_boxed_slice();
        drop(pieces);
        let before = resident();
        super::give_back_memory();
        let after = resident();
        assert!(after + (20 << 20) < before, "{before} before, {after} after, {}", stays.len());
    }
}
