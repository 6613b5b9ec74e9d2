//! Elements of a set in memory: what may stand beside what.

use rustix::io::Errno;

use crate::nft::read::{Collector, ElementsMessage, RawData, RawElement, typed};
use crate::nft::{Data, DataType, Element, Elements, Fields, Key, Set};

/// The elements of a message; refused when one does not fit the set.
pub(super) fn read(
    message: &ElementsMessage<'_>,
    fields: Fields,
    interval: bool,
    data: Option<DataType>,
    adding: bool,
) -> Result<Vec<Element>, Errno> {
    let mut collector = Collector::default();
    for raw in message.iter() {
        check(&raw, fields, data, adding)?;
        collector.take(fields, interval, data, &raw);
    }
    let elements = collector.finish().into_iter();
    Ok(elements.map(|(key, (last, data))| Element { key, last, data }).collect())
}

/// Whether one element fits.
fn check(raw: &RawElement<'_>, fields: Fields, data: Option<DataType>, adding: bool) -> Result<(), Errno> {
    let fits = |bytes: &[u8]| bytes.len() == fields.length();
    if !fits(raw.key) || raw.last.is_some_and(|last| !fits(last)) {
        return Err(Errno::INVAL);
    }
    let end = raw.flags & crate::nft::wire::element::F_END != 0;
    match (&raw.data, data) {
        (Some(_), None) => Err(Errno::INVAL),
        (None, Some(_)) if adding && !end => Err(Errno::INVAL),
        (Some(given), Some(of)) if typed(given, Some(of)).is_none() => match given {
            RawData::Verdict(_) | RawData::Value(_) => Err(Errno::INVAL),
        },
        _ => Ok(()),
    }
}

/// Adds an element; says whether it is new.
pub(super) fn add(
    set: &Set,
    elements: &mut Elements,
    element: &Element,
    exclusive: bool,
) -> Result<bool, Errno> {
    let Element { key, last, data } = element;
    if let Some((old_last, old_data)) = elements.get(key)
        && old_last == last
    {
        // Kernels differ in what they say to other data: busy, or there already.
        return if exclusive || old_data != data { Err(Errno::EXIST) } else { Ok(false) };
    }
    if set.key.is_concatenation()
        && let Some(last) = last
        && parts(key).iter().zip(&parts(last)).any(|(first, last)| first > last)
    {
        return Err(Errno::INVAL);
    }
    if set.interval && overlaps(set, elements, key, last.as_ref().unwrap_or(key)) {
        return Err(Errno::EXIST);
    }
    elements.insert(*key, (*last, data.clone()));
    Ok(true)
}

/// Removes an element, and hands it out.
pub(super) fn remove(elements: &mut Elements, element: &Element) -> Result<Option<Data>, Errno> {
    match elements.get(&element.key) {
        Some((last, _)) if *last == element.last => {
            Ok(elements.remove(&element.key).and_then(|(_, data)| data))
        }
        _ => Err(Errno::NOENT),
    }
}

/// The bytes of each field of a key.
fn parts(key: &Key) -> Vec<Vec<u8>> {
    let fields = key.fields();
    let mut at = 0;
    let cut = fields.as_slice().iter().map(|field| {
        let from = at;
        at += field.length().next_multiple_of(4);
        key.as_bytes()[from..at].to_vec()
    });
    cut.collect()
}

/// Whether a range shares a key with another.
fn overlaps(set: &Set, elements: &Elements, first: &Key, last: &Key) -> bool {
    if set.key.is_concatenation() {
        let (first, last) = (parts(first), parts(last));
        return elements.iter().any(|(other, (other_last, _))| {
            let (other, other_last) = (parts(other), parts(other_last.as_ref().unwrap_or(other)));
            (0..first.len()).all(|at| first[at] <= other_last[at] && other[at] <= last[at])
        });
    }
    let before = elements.range(..=*first).next_back();
    let before = before.is_some_and(|(other, (other_last, _))| other_last.as_ref().unwrap_or(other) >= first);
    before || elements.range(*first..=*last).next().is_some()
}
