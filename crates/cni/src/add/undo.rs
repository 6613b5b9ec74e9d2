//! Taking back what a failed ADD did, last first.

use margay_ipam::Owner;
use margay_wiring::{Detach, Interface};

use super::Addition;
use crate::delegate::Delegate;
use crate::record::{Written, unwrite};
use crate::request::Verb;
use crate::{addresses, release, wire};

/// What was done, or may have been.
#[derive(Default)]
pub(super) struct Undo {
    /// Addresses of ours, by their owner.
    pub(super) owner: Option<Owner>,
    /// The plugin that was asked for addresses.
    pub(super) delegated: Option<Delegate>,
    /// The interface; making it takes back a failure of its own.
    pub(super) wired: Option<Interface>,
    /// The endpoint's record.
    pub(super) written: Option<Written>,
}

impl Addition<'_, '_> {
    /// Takes everything back; the answer names what could not be.
    pub(super) async fn take_back(&mut self) -> String {
        let mut left = Vec::new();
        if let Some(written) = self.undo.written.take()
            && let Err(failure) = unwrite(&self.store, &self.subject.identity, &written).await
        {
            left.push(format!("the endpoint stays: {}", failure.msg));
        }
        if let Some(interface) = self.undo.wired.take() {
            let end = Detach {
                workload: Some(interface.workload),
                workload_name: interface.workload_name,
                host_name: interface.host_name,
                owner: interface.owner,
            };
            let detached = wire::open_host().and_then(|mut host| wire::detach(self.call, &mut host, &end));
            if let Err(failure) = detached {
                left.push(format!("the interface stays, and its addresses with it: {}", failure.msg));
                return left.join("; ");
            }
        }
        if let Some(owner) = self.undo.owner.take()
            && let Err(failure) = addresses::take_back(&self.store, &owner).await
        {
            left.push(format!("addresses stay assigned: {}", failure.msg));
        }
        if let Some(delegate) = self.undo.delegated.take() {
            let arguments = self.call.arguments.clone();
            let outcome = release::document_for(self.call, &self.subject.identity, true)
                .and_then(|document| self.call.delegate(&delegate, Verb::Del, &arguments, &document));
            if let Err(failure) = outcome {
                left.push(format!("addresses stay assigned: {}", failure.msg));
            }
        }
        left.join("; ")
    }
}
