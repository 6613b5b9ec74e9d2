//! The delays, with the randomness written down.

use super::Backoff;
use std::time::Duration;

fn millis(backoff: &mut Backoff, count: usize) -> Vec<u128> {
    (0..count).map(|_| backoff.failed().as_millis()).collect()
}

#[test]
fn delays_double_up_to_the_longest_and_begin_again_after_success() {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1), Box::new(|| 0));
    assert_eq!(millis(&mut backoff, 6), [100, 200, 400, 800, 1000, 1000]);
    backoff.succeeded();
    assert_eq!(millis(&mut backoff, 2), [100, 200]);
}

#[test]
fn jitter_cuts_up_to_a_half() {
    let mut numbers = [0, u32::MAX / 2, u32::MAX].into_iter().cycle();
    let jitter = Box::new(move || numbers.next().unwrap());
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(100), jitter);
    assert_eq!(millis(&mut backoff, 3), [100, 75, 50]);
}

#[test]
fn a_thousand_failures_do_not_overflow() {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_hours(1_000_000), Box::new(|| 0));
    for _ in 0..1000 {
        backoff.failed();
    }
    backoff.succeeded();
}
