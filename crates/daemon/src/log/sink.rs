//! [`Sink`]: where a destination's thread writes. Opened when first needed, and again after a failure.

use std::fs::{File, OpenOptions, create_dir_all};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

/// One destination.
pub(super) enum Sink {
    Screen(Box<dyn Write + Send>),
    File { path: PathBuf, open: Option<File> },
    Syslog { path: PathBuf, open: Option<UnixDatagram> },
}

// === impl Sink ===

impl Sink {
    pub(super) fn screen(screen: Box<dyn Write + Send>) -> Self {
        Self::Screen(screen)
    }

    /// A file without a path yet.
    pub(super) fn file() -> Self {
        Self::File { path: PathBuf::new(), open: None }
    }

    pub(super) fn syslog(path: PathBuf) -> Self {
        Self::Syslog { path, open: None }
    }

    /// Goes on in another file.
    pub(super) fn set_path(&mut self, new: PathBuf) {
        if let Self::File { path, open } = self
            && *path != new
        {
            *path = new;
            *open = None;
        }
    }

    /// Opens anew at the next line.
    pub(super) fn close(&mut self) {
        match self {
            Self::Screen(_) => {}
            Self::File { open, .. } => *open = None,
            Self::Syslog { open, .. } => *open = None,
        }
    }

    pub(super) fn write(&mut self, line: &[u8]) -> Result<()> {
        let written = match self {
            Self::Screen(screen) => screen.write_all(line).and_then(|()| screen.flush()),
            Self::File { path, open } => open_file(path, open).and_then(|mut file| file.write_all(line)),
            Self::Syslog { path, open } => {
                open_syslog(path, open).and_then(|socket| socket.send(line).map(drop))
            }
        };
        if written.is_err() {
            self.close();
        }
        written
    }
}

// === helpers ===

fn open_file<'a>(path: &PathBuf, open: &'a mut Option<File>) -> Result<&'a File> {
    if open.is_none() {
        if let Some(folder) = path.parent() {
            create_dir_all(folder)?;
        }
        *open = Some(OpenOptions::new().create(true).append(true).open(path)?);
    }
    open.as_ref().ok_or_else(|| Error::from(ErrorKind::NotFound))
}

fn open_syslog<'a>(path: &PathBuf, open: &'a mut Option<UnixDatagram>) -> Result<&'a UnixDatagram> {
    if open.is_none() {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        *open = Some(socket);
    }
    open.as_ref().ok_or_else(|| Error::from(ErrorKind::NotFound))
}
