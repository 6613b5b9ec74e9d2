//! [`Instruments`]: the metrics of the agent, under Felix's names where the meaning survives (`spec/agent.md` 10).

use std::time::Instant;

use margay_daemon::log::Log;
use margay_daemon::metrics::{Counter, Gauge, Metrics, Summary};

use crate::board::Board;

/// The metrics that several parts feed.
#[derive(Debug, Clone)]
pub(crate) struct Instruments {
    pub(crate) metrics: Metrics,
    pub(crate) resync_state: Gauge,
    pub(crate) resyncs_started: Counter,
    pub(crate) update_time: Summary,
    pub(crate) output_events: Counter,
    pub(crate) local_endpoints: Gauge,
    pub(crate) policies: Gauge,
    pub(crate) selectors: Gauge,
    pub(crate) tags: Gauge,
    pub(crate) hosts: Gauge,
    pub(crate) workload_endpoints: Gauge,
    pub(crate) host_endpoints: Gauge,
    pub(crate) apply_time: Summary,
    pub(crate) initial_time: Gauge,
    pub(crate) programming_time: Summary,
    pub(crate) failures: Counter,
    pub(crate) commit_time: Summary,
    pub(crate) batch_size: Summary,
    pub(crate) link_batch_size: Summary,
    pub(crate) address_batch_size: Summary,
    pub(crate) nft_calls: Counter,
    pub(crate) nft_errors: Counter,
    pub(crate) quarantined: Gauge,
    logs_dropped: Counter,
    log_errors: Counter,
    stale_seconds: Gauge,
}

// === impl Instruments ===

impl Instruments {
    /// All of them, at zero.
    pub(crate) fn new(host: &str) -> Self {
        let metrics = Metrics::default();
        let gauge = |name, about| metrics.gauge(name, about, &[]);
        let counter = |name, about| metrics.counter(name, about, &[]);
        let summary = |name, about| metrics.summary(name, about, &[]);
        metrics.gauge("felix_host", "Configured hostname for this instance.", &[("host", host)]).set(1.0);
        Self {
            resync_state: gauge(
                "felix_resync_state",
                "Current datastore state: 1 wait, 2 resync, 3 in sync.",
            ),
            resyncs_started: counter("felix_resyncs_started", "Number of times a snapshot was begun."),
            update_time: summary(
                "felix_calc_graph_update_time_seconds",
                "Seconds to update the calculation for a batch of datastore changes.",
            ),
            output_events: counter(
                "felix_calc_graph_output_events",
                "Number of changes given to the dataplane.",
            ),
            local_endpoints: gauge("felix_active_local_endpoints", "Number of endpoints on this host."),
            policies: gauge("felix_active_local_policies", "Number of policies in use on this host."),
            selectors: gauge("felix_active_local_selectors", "Number of selectors in use on this host."),
            tags: gauge("felix_active_local_tags", "Number of tags in use on this host."),
            hosts: gauge("felix_cluster_num_hosts", "Number of hosts in the cluster."),
            workload_endpoints: gauge(
                "felix_cluster_num_workload_endpoints",
                "Number of workload endpoints in the cluster.",
            ),
            host_endpoints: gauge(
                "felix_cluster_num_host_endpoints",
                "Number of host endpoints in the cluster.",
            ),
            apply_time: summary(
                "felix_int_dataplane_apply_time_seconds",
                "Seconds that it took to apply a batch of changes.",
            ),
            initial_time: gauge(
                "felix_int_dataplane_initial_resync_time_seconds",
                "Seconds from the start of the agent until the kernel was first as wanted.",
            ),
            programming_time: summary(
                "felix_endpoint_programming_seconds",
                "Seconds from a datastore event to the kernel.",
            ),
            failures: counter("felix_int_dataplane_failures", "Number of times an apply was incomplete."),
            commit_time: summary("felix_nft_commit_seconds", "Seconds of a commit that wrote something."),
            batch_size: summary("felix_int_dataplane_msg_batch_size", "Number of changes applied together."),
            link_batch_size: summary(
                "felix_int_dataplane_iface_msg_batch_size",
                "Number of interface changes applied together.",
            ),
            address_batch_size: summary(
                "felix_int_dataplane_addr_msg_batch_size",
                "Number of address changes applied together.",
            ),
            nft_calls: counter("felix_nft_calls", "Number of nftables transactions."),
            nft_errors: counter("felix_nft_errors", "Number of reasons for which an apply was incomplete."),
            quarantined: gauge(
                "felix_quarantined_policies",
                "Number of objects that the kernel refused and that are closed instead.",
            ),
            logs_dropped: counter(
                "felix_logs_dropped",
                "Number of log lines dropped because of a slow destination.",
            ),
            log_errors: counter("felix_log_errors", "Number of log lines that could not be written."),
            stale_seconds: gauge("felix_stale_seconds", "Seconds for which the datastore has not answered."),
            metrics,
        }
    }

    /// Counts objects in the kernel, by name of the metric.
    pub(crate) fn kernel_count(&self, name: &'static str, about: &'static str, count: usize) {
        self.metrics.gauge(name, about, &[]).set_count(count);
    }

    /// Counts one kind of datastore updates.
    pub(crate) fn updates_processed(&self, kind: &'static str) -> Counter {
        self.metrics.counter(
            "felix_calc_graph_updates_processed",
            "Number of datastore updates processed, by kind.",
            &[("type", kind)],
        )
    }

    /// Counts one kind of what the dataplane is told.
    pub(crate) fn messages(&self, kind: &'static str) -> Counter {
        let about = "Number of changes given to the dataplane, by kind.";
        self.metrics.counter("felix_int_dataplane_messages", about, &[("type", kind)])
    }

    /// Records of one kind that cannot be understood.
    pub(crate) fn invalid_records(&self, kind: &str, count: usize) {
        let about = "Number of records with faults, by kind.";
        self.metrics.gauge("felix_invalid_records", about, &[("kind", kind)]).set_count(count);
    }

    /// Changes of others that were put right.
    pub(crate) fn drift_events(&self, kind: &str) -> Counter {
        let about = "Number of changes by others that were put right, by kind.";
        self.metrics.counter("felix_drift_events", about, &[("kind", kind)])
    }

    /// The page as it is now.
    pub(crate) fn page(&self, board: &Board, log: &Log, with_process: bool) -> String {
        self.logs_dropped.set(log.dropped());
        self.log_errors.set(log.errors());
        self.stale_seconds.set(board.stale_seconds(Instant::now()));
        if with_process {
            self.measure_process();
        }
        self.metrics.page()
    }

    fn measure_process(&self) {
        let gauge = |name, about, value: Option<f64>| {
            if let Some(value) = value {
                self.metrics.gauge(name, about, &[]).set(value);
            }
        };
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kilobytes = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field))?;
            line.split_ascii_whitespace().next()?.parse::<f64>().ok().map(|kilobytes| kilobytes * 1024.0)
        };
        let open = std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64);
        gauge("process_resident_memory_bytes", "Resident memory size in bytes.", kilobytes("VmRSS:"));
        gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", kilobytes("VmSize:"));
        gauge("process_open_fds", "Number of open file descriptors.", open);
        let usage = std::fs::read_to_string("/proc/self/stat").ok().and_then(|stat| cpu_seconds(&stat));
        gauge("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", usage);
    }
}

/// User and system time of a line of `/proc/PID/stat`.
fn cpu_seconds(stat: &str) -> Option<f64> {
    // The name in brackets may hold anything, so count from behind it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    // USER_HZ is 100 on every Linux that is in use.
    Some(ticks / 100.0)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::UNIX_EPOCH;

    use margay_daemon::log::{Format, Log};

    use super::{Instruments, cpu_seconds};
    use crate::board::Board;

    #[test]
    fn the_page_has_felixs_names_and_ours() {
        let instruments = Instruments::new("node1");
        instruments.updates_processed("PolicyKey").increment();
        instruments.invalid_records("policy", 2);
        instruments.drift_events("table").add(3);
        let log = Log::new(Format::Text, Box::new(io::sink()), || UNIX_EPOCH);
        let page = instruments.page(&Board::default(), &log, true);
        for line in [
            "felix_host{host=\"node1\"} 1\n",
            "felix_resync_state 0\n",
            "felix_calc_graph_updates_processed{type=\"PolicyKey\"} 1\n",
            "felix_invalid_records{kind=\"policy\"} 2\n",
            "felix_drift_events{kind=\"table\"} 3\n",
            "felix_stale_seconds 0\n",
            "felix_logs_dropped 0\n",
        ] {
            assert!(page.contains(line), "{line} is not in\n{page}");
        }
        assert!(page.contains("process_resident_memory_bytes "), "{page}");
    }

    #[test]
    fn cpu_time_is_read_behind_whatever_the_name_is() {
        let stat = "1 (a ) b) S 1 1 1 0 -1 4 1 0 0 0 150 50 0 0 20 0 1 0 1 1 1";
        assert_eq!(cpu_seconds(stat), Some(2.0));
    }
}
