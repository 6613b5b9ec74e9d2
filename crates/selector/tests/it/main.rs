//! Selectors from outside: upstream's recorded answers, our messages, properties, and sizes that hurt.

#[cfg(test)]
mod messages;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod size;
#[cfg(test)]
mod table;
#[cfg(test)]
mod view;
