//! What every fuzz target has in common: one property, and a bound on the
//! memory that looking at an input may take.
//!
//! The properties are in the programs, next to what they are about; here is
//! only what the fuzzer needs.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Memory that any run may take, bytes.
const BASE: usize = 8 << 20;
/// And so many for each byte of input.
const FOR_EACH_BYTE: usize = 1024;

/// Counts what is allocated.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Runs a property, and panics if it took more memory than such an input may.
pub fn within_bounds(data: &[u8], property: impl FnOnce(&[u8])) {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    property(data);
    let took = PEAK.load(Relaxed).saturating_sub(before);
    let most = BASE + FOR_EACH_BYTE * data.len();
    assert!(
        took <= most,
        "{took} bytes of memory for {} of input",
        data.len()
    );
}

/// Makes a program of libFuzzer out of a property.
#[macro_export]
macro_rules! target {
    ($property:path) => {
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::within_bounds(data, $property));
    };
}
