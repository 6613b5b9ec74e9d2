//! Lines for people: to stderr, and to a file when the configuration names one (`spec/cni.md` 15).
//!
//! Made only when the first line is due. A line that cannot be written is lost: logging never fails a verb.

use std::fs::{File, OpenOptions, create_dir_all};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::config::LogConf;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Only for those who look for a fault.
    Debug,
    /// What was done.
    Info,
    /// What somebody should know.
    Warning,
    /// What went wrong.
    Error,
}

/// Where lines go.
pub(crate) struct Log<'a> {
    stderr: &'a mut (dyn Write + Send),
    file: Option<File>,
    level: Level,
    now: fn() -> SystemTime,
    subject: String,
}

// === impl Level ===

impl Level {
    /// The level that a configuration names: `debug` or `info` in any case, else warnings.
    #[must_use]
    pub(crate) fn of_config(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "debug" => Self::Debug,
            "info" => Self::Info,
            "error" => Self::Error,
            _ => Self::Warning,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

// === impl Log ===

impl<'a> Log<'a> {
    /// A log that prints warnings to stderr.
    pub(crate) fn new(stderr: &'a mut (dyn Write + Send), now: fn() -> SystemTime) -> Self {
        Self { stderr, file: None, level: Level::Warning, now, subject: String::new() }
    }

    /// Takes over what the configuration says. A file that cannot be opened is reported once.
    pub(crate) fn configure(&mut self, conf: &LogConf) {
        self.level = Level::of_config(&conf.level);
        if let Some(path) = &conf.file {
            match open(path, conf, (self.now)()) {
                Ok(file) => self.file = Some(file),
                Err(error) => self.warning(&format!("opening {}: {error}", path.display())),
            }
        }
    }

    /// Names what the lines are about: verb, container, interface.
    pub(crate) fn about(&mut self, subject: String) {
        self.subject = subject;
    }

    /// Says what only a search for a fault needs.
    pub(crate) fn debug(&mut self, text: &str) {
        self.line(Level::Debug, text);
    }

    /// Says what was done.
    pub(crate) fn info(&mut self, text: &str) {
        self.line(Level::Info, text);
    }

    /// Says what somebody should know.
    pub(crate) fn warning(&mut self, text: &str) {
        self.line(Level::Warning, text);
    }

    /// Says what went wrong.
    pub(crate) fn error(&mut self, text: &str) {
        self.line(Level::Error, text);
    }

    /// Passes on what another plugin wrote to its stderr.
    pub(crate) fn pass_on(&mut self, bytes: &[u8]) {
        let _ = self.stderr.write_all(bytes);
    }

    fn line(&mut self, level: Level, text: &str) {
        if level < self.level {
            return;
        }
        let time = jiff::Timestamp::try_from((self.now)()).unwrap_or_default();
        let text = text.replace('\n', "\\n");
        let line = format!("{time:.3} {} {}: {text}\n", level.word(), self.subject);
        let _ = self.stderr.write_all(line.as_bytes());
        if let Some(file) = &mut self.file {
            let _ = file.write_all(line.as_bytes());
        }
    }
}

/// Opens the file to append to, moving a full one aside and removing those that are too old or too many.
fn open(path: &Path, conf: &LogConf, now: SystemTime) -> std::io::Result<File> {
    if let Some(directory) = path.parent() {
        create_dir_all(directory)?;
    }
    if std::fs::metadata(path).is_ok_and(|meta| meta.len() >= conf.max_megabytes << 20) {
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        std::fs::rename(path, aside(path, &format!("{seconds}-{}", std::process::id())))?;
        remove_old(path, conf, now);
    }
    OpenOptions::new().append(true).create(true).open(path)
}

fn aside(path: &Path, mark: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{mark}"));
    path.with_file_name(name)
}

fn remove_old(path: &Path, conf: &LogConf, now: SystemTime) {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return };
    let prefix = format!("{}.", name.to_string_lossy());
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    let mut old: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    old.sort_by(|a, b| b.cmp(a));
    let age = Duration::from_secs(conf.max_days * 24 * 3600);
    for (index, (written, path)) in old.iter().enumerate() {
        let too_many = index as u64 >= conf.max_files;
        if too_many || now.duration_since(*written).is_ok_and(|since| since > age) {
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Level, Log};
    use crate::config::LogConf;

    fn noon() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(43_200)
    }

    #[test]
    fn lines_below_the_level_are_left_out() {
        let mut stderr = Vec::new();
        let mut log = Log::new(&mut stderr, noon);
        log.about("ADD c1/eth0".to_owned());
        log.info("unheard");
        log.warning("heard\ntwice");
        log.configure(&LogConf { level: "Debug".to_owned(), ..LogConf::default() });
        log.debug("heard too");
        assert_eq!(
            String::from_utf8(stderr).unwrap(),
            "1970-01-01T12:00:00.000Z warning ADD c1/eth0: heard\\ntwice\n\
             1970-01-01T12:00:00.000Z debug ADD c1/eth0: heard too\n"
        );
        assert_eq!(Level::of_config("loud"), Level::Warning);
    }

    #[test]
    fn a_full_file_is_moved_aside_and_old_ones_go() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/cni.log");
        let conf = LogConf {
            level: "info".to_owned(),
            file: Some(path.clone()),
            max_megabytes: 1,
            max_days: 36_500,
            max_files: 1,
        };
        let write = |text: &str| {
            let mut stderr = Vec::new();
            let mut log = Log::new(&mut stderr, noon);
            log.configure(&conf);
            log.info(text);
        };
        write("first");
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("first\n"));
        std::fs::write(path.with_file_name("cni.log.1-1"), "older").unwrap();
        std::fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
        write("second");
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("second\n"));
        let count = std::fs::read_dir(directory.path().join("deep")).unwrap().count();
        assert_eq!(count, 2, "the file and the one that was full");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let mut stderr = Vec::new();
        let mut log = Log::new(&mut stderr, noon);
        let conf = LogConf { file: Some("/proc/nowhere/cni.log".into()), ..LogConf::default() };
        log.configure(&conf);
        assert!(String::from_utf8(stderr).unwrap().contains("opening /proc/nowhere/cni.log"));
    }
}
