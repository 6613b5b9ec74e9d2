//! Selector evaluations per second on one core: 20 selectors of everyday shapes against 1,000 label sets.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use margay_selector::Selector;

fn main() {
    let texts: Vec<String> = (0..20)
        .map(|i| match i % 5 {
            0 => format!("app == 'app{i}'"),
            1 => format!("app == 'app{i}' && calico/k8s_ns == 'ns{i}'"),
            2 => format!("has(role) && role in {{'r{i}', 'r1', 'r2', 'r3'}}"),
            3 => format!("!(app == 'app{i}') || role != 'r{i}'"),
            _ => "all()".to_owned(),
        })
        .collect();
    let selectors: Vec<Selector> =
        texts.iter().map(|text| Selector::parse(text).expect("a selector")).collect();
    let labels: Vec<BTreeMap<String, String>> = (0..1000)
        .map(|i| {
            BTreeMap::from([
                ("app".to_owned(), format!("app{}", i % 20)),
                ("calico/k8s_ns".to_owned(), format!("ns{}", i % 50)),
                ("role".to_owned(), format!("r{}", i % 7)),
            ])
        })
        .collect();
    let started = Instant::now();
    let (mut evaluations, mut matches) = (0_u64, 0_u64);
    while started.elapsed() < Duration::from_secs(1) {
        for labels in &labels {
            for selector in &selectors {
                matches += u64::from(selector.matches(labels));
                evaluations += 1;
            }
        }
    }
    let rate = evaluations as f64 / started.elapsed().as_secs_f64() / 1e6;
    println!("{rate:.0} million ({:.0} % matched)", matches as f64 * 100.0 / evaluations as f64);
}
