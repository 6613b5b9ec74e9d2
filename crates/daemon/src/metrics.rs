//! [`Metrics`]: counters, gauges and summaries, and the page that Prometheus reads.
//!
//! Names are constants of the program. A family keeps the order of its registration, samples are sorted by label, so
//! the page is the same for the same values. Summaries hold the quantiles 0.5, 0.9 and 0.99 of the last
//! [`WINDOW`] observations, and the sum and count of all.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many observations the quantiles of a summary are made of.
pub const WINDOW: usize = 512;

/// The content type of [`Metrics::page`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of a program.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    families: Arc<Mutex<Vec<Arc<Family>>>>,
}

/// Counts up.
#[derive(Debug, Clone)]
pub struct Counter {
    value: Arc<AtomicU64>,
}

/// Goes up and down.
#[derive(Debug, Clone)]
pub struct Gauge {
    bits: Arc<AtomicU64>,
}

/// Observations of a quantity.
#[derive(Debug, Clone)]
pub struct Summary {
    observed: Arc<Mutex<Observed>>,
}

#[derive(Debug)]
struct Family {
    name: &'static str,
    about: &'static str,
    kind: &'static str,
    /// Samples by their labels as printed: `{kind="x"}` or nothing.
    samples: Mutex<BTreeMap<String, Sample>>,
}

#[derive(Debug, Clone)]
enum Sample {
    Counter(Counter),
    Gauge(Gauge),
    Summary(Summary),
}

#[derive(Debug, Default)]
struct Observed {
    count: u64,
    sum: f64,
    /// The last observations, the oldest overwritten.
    last: Vec<f64>,
}

/// Label names and values.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

// === impl Metrics ===

impl Metrics {
    /// The counter of this name and these labels, made at the first call.
    #[must_use]
    pub fn counter(&self, name: &'static str, about: &'static str, labels: Labels<'_>) -> Counter {
        let make = || Sample::Counter(Counter { value: Arc::default() });
        let Sample::Counter(counter) = self.sample(name, about, "counter", labels, make) else {
            panic!("{ONE_KIND}")
        };
        counter
    }

    /// The gauge of this name and these labels, made at the first call.
    #[must_use]
    pub fn gauge(&self, name: &'static str, about: &'static str, labels: Labels<'_>) -> Gauge {
        let make = || Sample::Gauge(Gauge { bits: Arc::default() });
        let Sample::Gauge(gauge) = self.sample(name, about, "gauge", labels, make) else {
            panic!("{ONE_KIND}")
        };
        gauge
    }

    /// The summary of this name and these labels, made at the first call.
    #[must_use]
    pub fn summary(&self, name: &'static str, about: &'static str, labels: Labels<'_>) -> Summary {
        let make = || Sample::Summary(Summary { observed: Arc::default() });
        let Sample::Summary(summary) = self.sample(name, about, "summary", labels, make) else {
            panic!("{ONE_KIND}")
        };
        summary
    }

    /// The page.
    #[must_use]
    pub fn page(&self) -> String {
        let mut page = String::new();
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for family in families {
            family.write(&mut page);
        }
        page
    }

    fn sample(
        &self,
        name: &'static str,
        about: &'static str,
        kind: &'static str,
        labels: Labels<'_>,
        make: impl FnOnce() -> Sample,
    ) -> Sample {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let family = match families.iter().find(|family| family.name == name) {
            Some(family) => Arc::clone(family),
            None => {
                let family = Arc::new(Family { name, about, kind, samples: Mutex::default() });
                families.push(Arc::clone(&family));
                family
            }
        };
        let mut samples = family.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.entry(label_text(labels)).or_insert_with(make).clone()
    }
}

/// A name has one kind: the program's constants say so.
const ONE_KIND: &str = "a metric's name stands for one kind of metric";

// === impl Counter ===

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.value.fetch_add(more, Ordering::Relaxed);
    }

    /// The count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }

    /// Takes over a count that is kept elsewhere.
    pub fn set(&self, count: u64) {
        self.value.store(count, Ordering::Relaxed);
    }
}

// === impl Gauge ===

impl Gauge {
    /// The value from now on.
    pub fn set(&self, value: f64) {
        self.bits.store(value.to_bits(), Ordering::Relaxed);
    }

    /// The value from now on, a number of things.
    pub fn set_count(&self, value: usize) {
        self.set(value as f64);
    }

    /// The value.
    #[must_use]
    pub fn get(&self) -> f64 {
        f64::from_bits(self.bits.load(Ordering::Relaxed))
    }
}

// === impl Summary ===

impl Summary {
    /// Adds an observation.
    pub fn observe(&self, value: f64) {
        let mut observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        let place = usize::try_from(observed.count % WINDOW as u64).unwrap_or_default();
        match observed.last.get_mut(place) {
            Some(oldest) => *oldest = value,
            None => observed.last.push(value),
        }
        observed.count += 1;
        observed.sum += value;
    }

    /// Adds an observation of a time, in seconds.
    pub fn observe_time(&self, time: Duration) {
        self.observe(time.as_secs_f64());
    }
}

// === impl Family ===

impl Family {
    fn write(&self, page: &mut String) {
        let Self { name, about, kind, samples } = self;
        let _ = writeln!(page, "# HELP {name} {about}\n# TYPE {name} {kind}");
        for (labels, sample) in &*samples.lock().unwrap_or_else(PoisonError::into_inner) {
            match sample {
                Sample::Counter(counter) => {
                    let _ = writeln!(page, "{name}{labels} {}", counter.get());
                }
                Sample::Gauge(gauge) => {
                    let _ = writeln!(page, "{name}{labels} {}", number(gauge.get()));
                }
                Sample::Summary(summary) => {
                    let observed = summary.observed.lock().unwrap_or_else(PoisonError::into_inner);
                    observed.write(page, name, labels);
                }
            }
        }
    }
}

// === impl Observed ===

impl Observed {
    fn write(&self, page: &mut String, name: &str, labels: &str) {
        let mut sorted = self.last.clone();
        sorted.sort_by(f64::total_cmp);
        for quantile in [0.5, 0.9, 0.99] {
            let rank = (quantile * sorted.len() as f64).ceil() as usize;
            let value = sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN);
            let with = match labels.strip_suffix('}') {
                Some(open) => format!("{open},quantile=\"{quantile}\"}}"),
                None => format!("{{quantile=\"{quantile}\"}}"),
            };
            let _ = writeln!(page, "{name}{with} {}", number(value));
        }
        let _ = writeln!(page, "{name}_sum{labels} {}", number(self.sum));
        let _ = writeln!(page, "{name}_count{labels} {}", self.count);
    }
}

// === helpers ===

/// Labels as printed, values escaped.
fn label_text(labels: Labels<'_>) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let mut text = String::from("{");
    for (index, (name, value)) in labels.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(text, "{comma}{name}=\"{value}\"");
    }
    text.push('}');
    text
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn the_page_is_what_prometheus_reads() {
        let metrics = Metrics::default();
        metrics.counter("calls", "Calls made.", &[("kind", "b")]).increment();
        metrics.counter("calls", "Calls made.", &[("kind", "a\"\n\\")]).add(2);
        metrics.counter("calls", "Calls made.", &[("kind", "b")]).increment();
        metrics.gauge("size", "Size.", &[]).set(1.5);
        let times = metrics.summary("times", "Times.", &[("of", "x")]);
        for value in 1..=100 {
            times.observe(f64::from(value));
        }
        assert_eq!(
            metrics.page(),
            "# HELP calls Calls made.\n# TYPE calls counter\n\
             calls{kind=\"a\\\"\\n\\\\\"} 2\ncalls{kind=\"b\"} 2\n\
             # HELP size Size.\n# TYPE size gauge\nsize 1.5\n\
             # HELP times Times.\n# TYPE times summary\n\
             times{of=\"x\",quantile=\"0.5\"} 50\ntimes{of=\"x\",quantile=\"0.9\"} 90\n\
             times{of=\"x\",quantile=\"0.99\"} 99\ntimes_sum{of=\"x\"} 5050\ntimes_count{of=\"x\"} 100\n"
        );
    }

    #[test]
    fn quantiles_forget_what_is_long_ago() {
        let metrics = Metrics::default();
        let times = metrics.summary("times", "Times.", &[]);
        assert!(metrics.page().contains("times{quantile=\"0.5\"} NaN\n"), "{}", metrics.page());
        for _ in 0..super::WINDOW {
            times.observe(1000.0);
        }
        for _ in 0..super::WINDOW {
            times.observe(1.0);
        }
        let page = metrics.page();
        assert!(page.contains("times{quantile=\"0.99\"} 1\n"), "{page}");
        assert!(page.contains("times_count 1024\n"), "{page}");
    }
}
