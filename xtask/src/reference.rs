//! The reference pages: one page per kind from its field tables; commands, man page and completions as the program
//! prints them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Cursor;
use std::path::Path;

use anyhow::Context as _;
use margay_ctl::{ExitCode, Invocation, Program};
use margay_model::kind::Kind;
use margay_model::record::{RecordSchema, Shape};
use margay_model::resource::schemas;

/// Where the pages stand, from the root of the tree.
pub const FOLDER: &str = "docs/reference";

/// The line that every page opens with.
const NOTICE: &str = "<!-- Written by `cargo xtask gen`; change the code's tables instead. -->";

/// Help is printed for these, in this order; none = the program itself.
const COMMANDS: &[&str] = &[
    "",
    "create",
    "replace",
    "apply",
    "delete",
    "get",
    "validate",
    "diff",
    "explain-field",
    "config",
    "ipam",
    "ipam show",
    "ipam release",
    "node",
    "node run",
    "node status",
    "node diags",
    "node checksystem",
    "datastore",
    "datastore export",
    "datastore import",
    "datastore copy",
    "agent",
    "agent run",
    "agent config",
    "status",
    "trace",
    "cleanup",
    "doctor",
    "cni",
    "cni install",
    "completions",
    "version",
];

/// Every page by its name in [`FOLDER`].
///
/// # Errors
/// When the program does not print its help.
pub fn pages() -> anyhow::Result<BTreeMap<String, String>> {
    let mut pages = BTreeMap::new();
    for kind in Kind::ALL {
        pages.insert(format!("{kind}.md"), kind_page(kind));
    }
    pages.insert("README.md".to_owned(), index());
    pages.insert("commands.md".to_owned(), commands()?);
    pages.insert("parameters.md".to_owned(), parameters());
    pages.insert("margay.1".to_owned(), printed(&["man"])?);
    for shell in ["bash", "zsh", "fish"] {
        pages.insert(format!("completions.{shell}"), printed(&["completions", shell])?);
    }
    Ok(pages)
}

/// Writes the pages below `root`, and returns the paths of those that changed.
///
/// # Errors
/// When a page cannot be made or written.
pub fn write(root: &Path) -> anyhow::Result<Vec<String>> {
    let folder = root.join(FOLDER);
    std::fs::create_dir_all(&folder).with_context(|| format!("making {FOLDER}"))?;
    let pages = pages()?;
    let stale = differing(&folder, &pages)?;
    for name in &stale {
        let path = folder.join(name);
        match pages.get(name) {
            Some(text) => std::fs::write(&path, text),
            None => std::fs::remove_file(&path),
        }
        .with_context(|| format!("writing {FOLDER}/{name}"))?;
    }
    Ok(stale.into_iter().map(|name| format!("{FOLDER}/{name}")).collect())
}

/// The paths of the pages that are missing, left over, or not what the code says.
///
/// # Errors
/// When a page cannot be made or read.
pub fn stale(root: &Path) -> anyhow::Result<Vec<String>> {
    let names = differing(&root.join(FOLDER), &pages()?)?;
    Ok(names.into_iter().map(|name| format!("{FOLDER}/{name}")).collect())
}

fn differing(folder: &Path, pages: &BTreeMap<String, String>) -> anyhow::Result<Vec<String>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {FOLDER}"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let text = std::fs::read(entry.path()).with_context(|| format!("reading {FOLDER}/{name}"))?;
        found.insert(name, text);
    }
    let wrong =
        pages.iter().filter(|(name, text)| found.get(*name).map(Vec::as_slice) != Some(text.as_bytes()));
    let mut names: Vec<String> = wrong.map(|(name, _)| name.clone()).collect();
    names.extend(found.into_keys().filter(|name| !pages.contains_key(name)));
    names.sort();
    Ok(names)
}

// === Kinds ===

/// The page of one kind: its metadata, its spec, and every record inside, once each.
fn kind_page(kind: Kind) -> String {
    let [metadata, spec] = schemas(kind);
    let mut text = format!("{NOTICE}\n\n# {kind}\n\n");
    let words: Vec<String> = kind.command_words().iter().map(|word| format!("`{word}`")).collect();
    let _ = writeln!(text, "On the command line, in any letter case: {}.", words.join(", "));
    let _ = writeln!(
        text,
        "A list document has kind `{}`. Go templates see a `{}`.\n",
        kind.list_word(),
        kind.go_name()
    );
    let _ = writeln!(text, "```yaml\nkind: {kind}\napiVersion: v1\nmetadata: …\nspec: …\n```\n");
    let mut records: Vec<(String, &'static RecordSchema)> =
        vec![("metadata".to_owned(), metadata), ("spec".to_owned(), spec)];
    let mut next = 0;
    while let Some((path, schema)) = records.get(next).map(|(path, schema)| (path.clone(), *schema)) {
        record(&mut text, &path, schema);
        for field in schema.fields {
            if let Some((inner, list)) = nested(&(field.shape)())
                && !records.iter().any(|(_, known)| known.name == inner.name)
            {
                let brackets = if list { "[]" } else { "" };
                records.push((format!("{path}.{}{brackets}", field.json), inner));
            }
        }
        next += 1;
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// The table of one record.
fn record(text: &mut String, path: &str, schema: &RecordSchema) {
    let _ = writeln!(
        text,
        "## `{path}`: {}\n\n{} In Go: `{}`.\n",
        schema.name,
        prose(schema.doc),
        schema.go_type
    );
    text.push_str("| field | in templates | value | meaning |\n|---|---|---|---|\n");
    for field in schema.fields {
        let kept = if field.keep { " Printed even when empty." } else { "" };
        let _ = writeln!(
            text,
            "| `{}` | `.{}` | {} | {}{kept} |",
            field.json,
            field.go,
            shape_text(&(field.shape)()),
            prose(field.doc).replace('|', "\\|")
        );
    }
    text.push('\n');
}

/// Doc lines as one paragraph.
fn prose(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn nested(shape: &Shape) -> Option<(&'static RecordSchema, bool)> {
    match shape {
        Shape::Record(schema) => Some((schema, false)),
        Shape::List(inner) => nested(inner).map(|(schema, _)| (schema, true)),
        Shape::Scalar(_) | Shape::Map => None,
    }
}

fn shape_text(shape: &Shape) -> String {
    match shape {
        Shape::Scalar(name) => (*name).to_owned(),
        Shape::List(inner) => format!("list of {}", shape_text(inner)),
        Shape::Map => "map of string to string".to_owned(),
        Shape::Record(schema) => format!("`{}`, below", schema.name),
    }
}

fn index() -> String {
    let mut text = format!("{NOTICE}\n\n# Reference\n\n## Kinds\n\n| kind | what it is |\n|---|---|\n");
    for kind in Kind::ALL {
        let [_, spec] = schemas(kind);
        let _ = writeln!(text, "| [{kind}]({kind}.md) | {} |", prose(spec.doc));
    }
    text.push_str(
        "\n## The program\n\n- [commands](commands.md): every command and option\n- [margay.1](margay.1): the man page\n\
         - [parameters](parameters.md): what the agent can be told\n\
         - completions for [bash](completions.bash), [zsh](completions.zsh) and [fish](completions.fish)\n",
    );
    text
}

// === The program ===

/// The agent's parameters, from the table that it reads them by.
fn parameters() -> String {
    let table = margay_agent::parameters::reference();
    format!(
        "{NOTICE}\n\n# Parameters of the agent\n\nHow they are given, and which source counts: \
         [the guide](../guide/agent.md#parameters).\n\n{table}"
    )
}

fn commands() -> anyhow::Result<String> {
    let mut text =
        format!("{NOTICE}\n\n# Commands\n\nAs `margay --help` and `margay COMMAND --help` print them.\n");
    for command in COMMANDS {
        let words: Vec<&str> = command.split_whitespace().collect();
        let title = if command.is_empty() { "margay".to_owned() } else { format!("margay {command}") };
        let help = printed(&[words.as_slice(), &["--help"]].concat())?;
        let _ = write!(text, "\n## {title}\n\n```text\n{}\n```\n", help.trim_end());
    }
    Ok(text)
}

/// What the program prints on stdout for these arguments.
fn printed(args: &[&str]) -> anyhow::Result<String> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let exit = margay_ctl::run(
        &mut Invocation {
            args: args.iter().map(Into::into).collect(),
            env: BTreeMap::new(),
            cwd: "/".into(),
            stdin: &mut Cursor::new(Vec::new()),
            stdout: &mut stdout,
            stderr: &mut stderr,
            stderr_is_terminal: false,
            stdout_is_terminal: false,
            now: || std::time::UNIX_EPOCH,
            random: |bytes| bytes.fill(0),
        },
        Program::Margay,
        &|_, _| ExitCode::FAILURE,
    );
    anyhow::ensure!(
        exit == ExitCode::SUCCESS && !stdout.is_empty(),
        "`margay {}` fails: {}",
        args.join(" "),
        String::from_utf8_lossy(&stderr)
    );
    String::from_utf8(stdout).with_context(|| format!("reading what `margay {}` prints", args.join(" ")))
}
