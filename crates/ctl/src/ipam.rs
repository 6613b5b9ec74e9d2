//! `ipam show` and `ipam release` (`spec/calicoctl.md` 9).

use std::io;

use margay_ipam::Released;
use margay_net::Ip;

use crate::grammar::command::{IpamArgs, IpamVerb};
use crate::session::Session;
use margay_client::ExitCode;

/// `ipam show`, `ipam release`.
pub(crate) fn ipam(session: &mut Session<'_, '_>, args: &IpamArgs) -> io::Result<ExitCode> {
    let client = match session.client(&args.config) {
        Ok(client) => client,
        Err(error) => {
            session.hints(error.hint)?;
            return session.fail(&error.text);
        }
    };
    let Ok(ip) = args.ip.parse::<Ip>() else {
        return session.fail(&format!("Error executing command: invalid IP address specified: {}", args.ip));
    };
    match args.verb {
        IpamVerb::Show => match session.block_on(margay_ipam::show(client.store(), ip)) {
            Ok(shown) => {
                session.line(&shown.to_string())?;
                Ok(ExitCode::SUCCESS)
            }
            // COMPAT(ipam-show-errors): upstream says "is not assigned" when it could not read.
            Err(error) => session.fail(&format!("Error: {error}")),
        },
        IpamVerb::Release => match session.block_on(margay_ipam::release_address(client.store(), ip)) {
            Ok(Released::Released) => {
                session.line(&format!("Successfully released IP address {ip}"))?;
                Ok(ExitCode::SUCCESS)
            }
            Ok(Released::NotAssigned) => session.fail(&format!("IP address {ip} is not assigned")),
            Err(error) => session.fail(&format!("Error: {error}")),
        },
    }
}
