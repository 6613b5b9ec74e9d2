//! `margay explain FROM TO`: may one talk to the other, which rule says so, and why the others did not.

mod facts;
mod judge;
mod party;
mod words;

use std::io;

use margay_policy::evaluate::Records;

use crate::grammar::command::ExplainArgs;
use crate::session::Session;
use margay_client::ExitCode;

pub(crate) use facts::{Facts, Failure};
pub(crate) use judge::{Answer, Judge, Traffic};
pub(crate) use party::{End, Party, everybody};
pub(crate) use words::decision;

/// Exit status of a question that could not be answered.
pub(crate) const TROUBLE: ExitCode = ExitCode(2);

/// How many broken records are named.
const BROKEN: usize = 10;

/// A question, its ends found.
pub(crate) struct Question {
    from: End,
    to: End,
    traffic: Traffic,
    /// The port stands in the question; else the answer is about every port.
    port_given: bool,
}

/// Answers a question. Exit 0 allowed, 1 denied, 2 not answered, with nothing on stdout then.
pub(crate) fn explain(session: &mut Session<'_, '_>, args: &ExplainArgs) -> io::Result<ExitCode> {
    let traffic = match traffic(args) {
        Ok(traffic) => traffic,
        Err(text) => return trouble(session, &text),
    };
    let facts = match gather(session, args)? {
        Ok(facts) => facts,
        Err(failure) => return failed(session, failure),
    };
    let ends = party::resolve(&facts.records, &args.from)
        .and_then(|from| party::resolve(&facts.records, &args.to).map(|to| (from, to)));
    let question = match ends {
        Ok((from, to)) => Question { from, to, traffic, port_given: args.port.is_some() },
        Err(text) => return trouble(session, &text),
    };
    let (question, answer, allowed_ports) = match answer(&facts, question) {
        Ok(answered) => answered,
        Err(text) => return trouble(session, &text),
    };
    tell_broken(session, &facts.records)?;
    let told = words::Told { facts: &facts, question: &question, answer: &answer, allowed_ports };
    let text = if args.json { told.json() } else { told.text() };
    session.invocation.stdout.write_all(text.as_bytes())?;
    Ok(if answer.allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The records: those of the files, or else those of the datastore.
fn gather(session: &mut Session<'_, '_>, args: &ExplainArgs) -> io::Result<Result<Facts, Failure>> {
    if args.filenames.is_empty() {
        return Facts::from_datastore(session, &args.config);
    }
    let mut facts = Facts::default();
    for filename in &args.filenames {
        if let Err(failure) = facts.apply_file(session, filename)? {
            return Ok(Err(failure));
        }
    }
    Ok(Ok(facts))
}

fn traffic(args: &ExplainArgs) -> Result<Traffic, String> {
    let protocol = Traffic::protocol(&args.protocol).ok_or_else(|| {
        format!(
            "'{}' is not a protocol\nhint: tcp, udp, icmp, icmpv6, sctp, udplite, or a number from 1 to 255",
            args.protocol
        )
    })?;
    let port = match &args.port {
        None => None,
        Some(text) => match text.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err(format!("'{text}' is not a port\nhint: a number from 1 to 65535")),
        },
    };
    if port.is_some() && !Traffic::has_ports(protocol) {
        return Err(format!("{} has no ports\nhint: leave --port out", args.protocol));
    }
    Ok(Traffic { protocol, port })
}

/// The answer to a question with a port; without one, that for the first port that is denied, or for any when all are
/// allowed, and the ports that are allowed although others are not.
fn answer(facts: &Facts, question: Question) -> Result<(Question, Answer, Option<Vec<String>>), String> {
    let mut judge = Judge::new(facts);
    let ask = |judge: &mut Judge<'_>, port: Option<u16>| {
        let traffic = Traffic { port, ..question.traffic };
        judge.ask(&question.from, &question.to, traffic)
    };
    if question.port_given || !Traffic::has_ports(question.traffic.protocol) {
        let answer = ask(&mut judge, question.traffic.port)?;
        return Ok((question, answer, None));
    }
    let none = "the rules name too many ports to look at each\nhint: give one with --port";
    let starts = judge.pieces(&question.from, &question.to).ok_or(none)?;
    let mut allowed = Vec::new();
    let mut denied: Option<(u16, Answer)> = None;
    let mut any = None;
    for (index, start) in starts.iter().enumerate() {
        let answer = ask(&mut judge, Some(*start))?;
        let end = starts.get(index + 1).map_or(u16::MAX, |next| next - 1);
        if answer.allowed {
            allowed.push((*start, end));
            any.get_or_insert((*start, answer));
        } else {
            denied.get_or_insert((*start, answer));
        }
    }
    let (port, answer) = denied.or(any).expect("the port space has at least one piece");
    let ports = if answer.allowed { None } else { Some(ranges(&allowed)) };
    Ok((Question { traffic: Traffic { port: Some(port), ..question.traffic }, ..question }, answer, ports))
}

/// Pieces of the port space as people write them, neighbours joined.
fn ranges(pieces: &[(u16, u16)]) -> Vec<String> {
    let mut joined: Vec<(u16, u16)> = Vec::new();
    for (first, last) in pieces {
        match joined.last_mut() {
            Some(before) if before.1.checked_add(1) == Some(*first) => before.1 = *last,
            _ => joined.push((*first, *last)),
        }
    }
    let text = |(first, last): (u16, u16)| {
        if first == last { first.to_string() } else { format!("{first}:{last}") }
    };
    joined.into_iter().map(text).collect()
}

/// Says which records are broken: an answer depends on what follows from that.
pub(crate) fn tell_broken(session: &mut Session<'_, '_>, records: &Records) -> io::Result<()> {
    let broken: Vec<String> = records.invalid.values().flatten().map(ToString::to_string).collect();
    for text in broken.iter().take(BROKEN) {
        session.note(&format!("warning: {text}"))?;
    }
    if broken.len() > BROKEN {
        session.note(&format!("warning: and {} more broken records", broken.len() - BROKEN))?;
    }
    Ok(())
}

/// Ends with what a person has to know.
pub(crate) fn trouble(session: &mut Session<'_, '_>, text: &str) -> io::Result<ExitCode> {
    session.note(text)?;
    Ok(TROUBLE)
}

/// Ends because there are no facts.
pub(crate) fn failed(session: &mut Session<'_, '_>, failure: Failure) -> io::Result<ExitCode> {
    if let Some(text) = failure {
        session.note(&text)?;
    }
    Ok(TROUBLE)
}
