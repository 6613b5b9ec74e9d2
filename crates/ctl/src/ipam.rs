//! x
use std::io;
pub(crate) fn ipam(
    session: &mut crate::session::Session<'_, '_>,
    _: &crate::grammar::command::IpamArgs,
) -> io::Result<crate::invocation::ExitCode> {
    session.fail("x")
}
