//! The formats of `get`, each written as resources arrive (`spec/calicoctl.md` 7).

pub(crate) mod columns;
mod template;

use std::io::{self, Write};
use std::path::Path;

use margay_model::{Kind, Resource};
use margay_text::json::write_json;
use margay_text::table::Table;
use margay_text::template::Template;
use margay_text::value::GoValue;
use margay_text::yaml::write_yaml_item;

use columns::{Column, Row};

/// What `-o` asks for.
#[derive(Debug, Clone)]
pub(crate) enum Format {
    /// A table with the short columns.
    Short,
    /// A table with the wide columns.
    Wide,
    /// A table with these columns.
    Columns(Vec<String>),
    /// One YAML list.
    Yaml,
    /// One JSON list.
    Json,
    /// A Go template, or the path of one.
    Template(TemplateSource),
}

/// Where a template's text is.
#[derive(Debug, Clone)]
pub(crate) enum TemplateSource {
    /// In the argument.
    Text(String),
    /// In a file.
    File(String),
}

/// Why output could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    /// Upstream's text for an unknown column, a template that cannot be read, parsed or run.
    #[error("{0}")]
    Refused(String),
    /// Writing failed.
    #[error("writing output")]
    Io(#[from] io::Error),
}

/// How much is held back before output begins: a list that fails within it leaves stdout to the error alone.
const HELD: usize = 8 << 20;

/// Writes resources in one format. Lists are bracketed by [`Printer::begin`] and [`Printer::end`].
pub(crate) struct Printer<'a> {
    out: &'a mut (dyn Write + Send),
    /// What is not written yet.
    buffer: String,
    /// True once something was written.
    started: bool,
    form: Form,
    /// The cluster's AS number as a table shows it; read before nodes are listed.
    global_as: String,
    /// The first error; nothing is printed behind it.
    error: Option<OutputError>,
}

/// A format under way.
enum Form {
    Table { wanted: Format, kind: Kind, columns: Vec<Column>, table: Table },
    Yaml { count: usize },
    Json { count: usize },
    Template { template: Box<Template>, lists: Vec<GoValue>, kind: Kind, items: Vec<GoValue> },
}

// === impl Format ===

impl Format {
    /// Reads the value of `-o`.
    ///
    /// # Errors
    /// Upstream's text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').map_or((text, ""), |(key, value)| (key, value));
        let with_value = text.contains('=');
        match (key, value) {
            ("ps", _) if !with_value => Ok(Self::Short),
            ("wide", _) if !with_value => Ok(Self::Wide),
            ("yaml", _) if !with_value => Ok(Self::Yaml),
            ("json", _) if !with_value => Ok(Self::Json),
            ("custom-columns", "") => Err("need to specify at least one column".to_owned()),
            ("custom-columns", columns) => Ok(Self::Columns(columns.split(',').map(str::to_owned).collect())),
            ("go-template", "") => Err("need to specify a template".to_owned()),
            ("go-template", text) => Ok(Self::Template(TemplateSource::Text(text.to_owned()))),
            ("go-template-file", "") => Err("need to specify a template file".to_owned()),
            ("go-template-file", path) => Ok(Self::Template(TemplateSource::File(path.to_owned()))),
            _ => Err(format!("unrecognized output format '{text}'")),
        }
    }

    /// True when the format shows the cluster's AS number.
    pub(crate) fn needs_global_as(&self, kinds: &[Kind]) -> bool {
        match self {
            Self::Short | Self::Yaml | Self::Json => false,
            Self::Wide => kinds.contains(&Kind::Node),
            Self::Columns(columns) => {
                kinds.contains(&Kind::Node) && columns.iter().any(|column| column == "ASN")
            }
            Self::Template(_) => true,
        }
    }
}

// === impl Printer ===

impl<'a> Printer<'a> {
    /// A printer; templates are read from files relative to `cwd` and parsed here.
    ///
    /// # Errors
    /// A template that cannot be read or parsed.
    pub(crate) fn new(
        format: &Format,
        cwd: &Path,
        global_as: String,
        out: &'a mut (dyn Write + Send),
    ) -> Result<Self, OutputError> {
        let form = match format {
            Format::Yaml => Form::Yaml { count: 0 },
            Format::Json => Form::Json { count: 0 },
            Format::Template(source) => Form::Template {
                template: Box::new(template::parse(source, cwd)?),
                lists: Vec::new(),
                kind: Kind::Node,
                items: Vec::new(),
            },
            table => Form::Table {
                wanted: table.clone(),
                kind: Kind::Node,
                columns: Vec::new(),
                table: Table::new(),
            },
        };
        Ok(Self { out, buffer: String::new(), started: false, form, global_as, error: None })
    }

    /// Starts the list of one requested resource.
    pub(crate) fn begin(&mut self, requested: Kind) {
        if self.error.is_some() {
            return;
        }
        match &mut self.form {
            Form::Table { wanted, kind, columns, table } => {
                *kind = requested;
                *table = Table::new();
                match columns::of(requested, wanted) {
                    Ok(chosen) => {
                        table.row(chosen.iter().map(|column| column.heading()));
                        *columns = chosen;
                    }
                    Err(text) => self.error = Some(OutputError::Refused(text)),
                }
            }
            Form::Template { kind, items, .. } => {
                *kind = requested;
                items.clear();
            }
            Form::Yaml { .. } | Form::Json { .. } => {}
        }
    }

    /// Adds a resource to the list.
    pub(crate) fn item(&mut self, resource: &Resource) {
        if self.error.is_some() {
            return;
        }
        match &mut self.form {
            Form::Table { columns, table, .. } => {
                Row { resource, global_as: &self.global_as }.write(columns, table);
            }
            Form::Yaml { count } => {
                write_yaml_item(&mut self.buffer, &resource.value());
                *count += 1;
            }
            Form::Json { count } => {
                self.buffer.push_str(if *count == 0 { "[\n  " } else { ",\n  " });
                write_json(&mut self.buffer, &resource.value(), 1);
                *count += 1;
            }
            Form::Template { items, .. } => items.push(resource.go_value()),
        }
        self.relieve(HELD);
    }

    /// Ends the list.
    pub(crate) fn end(&mut self) {
        if self.error.is_some() {
            return;
        }
        match &mut self.form {
            Form::Table { table, .. } => {
                let table = std::mem::take(table);
                if table.rows() > 1000 {
                    // Large tables go out directly: a second copy would double the memory they take.
                    self.relieve(0);
                    if let Err(error) = table.write_to(self.out) {
                        self.error = Some(error.into());
                        return;
                    }
                    self.started = true;
                } else {
                    table.write_text(&mut self.buffer);
                }
                self.buffer.push('\n');
            }
            Form::Template { lists, kind, items, .. } => {
                lists.push(template::list(*kind, std::mem::take(items)))
            }
            Form::Yaml { .. } | Form::Json { .. } => {}
        }
    }

    /// Writes what is left, after the last list.
    ///
    /// # Errors
    /// The first thing that kept output from being made; what was made before it is written.
    pub(crate) fn finish(mut self) -> Result<(), OutputError> {
        if self.error.is_none() {
            match &mut self.form {
                Form::Table { .. } => {}
                Form::Yaml { count: 0 } | Form::Json { count: 0 } => self.buffer.push_str("[]\n"),
                Form::Yaml { .. } => {}
                Form::Json { .. } => self.buffer.push_str("\n]\n"),
                Form::Template { template, lists, .. } => {
                    let lists = GoValue::List(std::mem::take(lists));
                    let run = template::run(template, &lists, &self.global_as, &mut self.buffer);
                    self.error = run.err();
                }
            }
        }
        self.relieve(0);
        match self.error {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// True when nothing has reached stdout yet, so that an error can stand there alone.
    pub(crate) fn is_fresh(&self) -> bool {
        !self.started
    }

    /// Writes the buffer when it holds more than `limit`.
    fn relieve(&mut self, limit: usize) {
        if self.buffer.len() <= limit || self.buffer.is_empty() {
            return;
        }
        if let Err(error) = self.out.write_all(self.buffer.as_bytes()) {
            self.error.get_or_insert(error.into());
        }
        self.buffer.clear();
        self.started = true;
    }
}
