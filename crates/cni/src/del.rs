//! DEL: takes a container off the network, whatever is missing (`spec/cni.md` 9).
//!
//! First the interface, then the endpoint, then the addresses: nobody else can get an address while something here still
//! uses it. When the datastore cannot be asked, what is left is written down and done later.

use margay_client::AnyStore;

use crate::call::{Call, DEL_PATIENCE, Ipam, Subject, check_ready, runtime};
use crate::delegate::Delegate;
use crate::error::{Code, Failure, Result};
use crate::journal::{Entry, datastore_name};
use crate::request::Verb;
use crate::{release, wire};

/// Why the datastore's part was not done.
enum Outcome {
    Done,
    /// The datastore cannot be asked now.
    Later(Failure),
    /// It was asked, and something is wrong.
    Failed(Failure),
}

/// Takes a container off the network.
pub(crate) fn del(call: &mut Call<'_>) -> Result<()> {
    let (subject, understood) = call.subject()?;
    let _lock = call.lock(&subject)?;
    call.faults.pass("del-locked")?;
    wire::unwire(call, &subject)?;
    call.faults.pass("del-unwired")?;
    let ipam = call.ipam();
    let of_datastore = release_records(call, &subject);
    // The other plugin does not need our datastore, and its trouble must not keep ours from being done.
    let of_delegate = match ipam {
        Ok(Ipam::Ours) => Ok(()),
        Ok(Ipam::Other(delegate)) => call_delegate(call, &subject, &delegate),
        Err(failure) => Err(failure),
    };
    of_datastore.and(of_delegate).and(understood)
}

fn call_delegate(call: &mut Call<'_>, subject: &Subject, delegate: &Delegate) -> Result<()> {
    let arguments = call.arguments.clone();
    let document = release::document_for(call, &subject.identity, true)?;
    call.delegate(delegate, Verb::Del, &arguments, &document).map(|_| ())
}

/// Removes the endpoint and gives the addresses back, now or later.
fn release_records(call: &mut Call<'_>, subject: &Subject) -> Result<()> {
    let settings = call.settings()?;
    let datastore = datastore_name(&settings);
    let entry = Entry::new(&call.conf, &subject.identity, datastore);
    let limit = DEL_PATIENCE.min(call.left());
    let late = || Outcome::Later(Failure::new(Code::DATASTORE, "the datastore took too long"));
    let outcome = match call.open_briefly(&settings) {
        Ok(store) => runtime()?.block_on(async {
            let work = release_now(call, subject, &store, &entry);
            tokio::time::timeout(limit, work).await.unwrap_or_else(|_| late())
        }),
        Err(failure) if failure.code == Code::DATASTORE => Outcome::Later(failure),
        Err(failure) => Outcome::Failed(failure),
    };
    let why = match outcome {
        Outcome::Done => return Ok(()),
        Outcome::Failed(failure) => return Err(failure),
        Outcome::Later(why) => why,
    };
    match call.journal.write(&entry) {
        Ok(()) => {
            call.log.warning(&format!("{}: the endpoint and its addresses are released later", why.msg));
            Ok(())
        }
        Err(error) => {
            let details = format!("writing down what is left to release: {error}");
            Err(Failure { code: Code::TRY_LATER, ..why }.with_details(details))
        }
    }
}

async fn release_now(call: &mut Call<'_>, subject: &Subject, store: &AnyStore, entry: &Entry) -> Outcome {
    if let Err(failure) = check_ready(store).await {
        return Outcome::Later(failure);
    }
    if let Err(failure) = call.faults.pass("del-ready") {
        return Outcome::Failed(failure);
    }
    match release::release(call, store, &subject.identity, entry).await {
        Ok(()) => {}
        Err(failure) if matches!(failure.code, Code::DATASTORE | Code::UNAUTHORIZED) => {
            return Outcome::Later(failure);
        }
        Err(failure) => return Outcome::Failed(failure),
    }
    // Nobody asks again for what is said to be released: it must be so on disk.
    if let Err(error) = store.settle(true) {
        return Outcome::Later(Failure::new(Code::DATASTORE, error.to_string()));
    }
    call.journal.remove(entry);
    if !call.journal.is_empty() {
        // Of others: what does not work now is tried again by the next call.
        let replayed = release::replay(call, store, &entry.datastore, &subject.identity).await;
        if let Err(failure) = replayed {
            call.log.warning(&failure.msg);
        }
    }
    Outcome::Done
}
