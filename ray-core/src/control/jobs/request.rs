//! What a submitter asks for, and what of it is refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{wire::Content, working_dir};

/// A program to run as a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct JobRequest {
    /// The number that its submitter drew for it: a request that is sent again is the same job.
    pub job: u64,
    /// What people call it; it need not be the only one.
    pub name: Option<String>,
    /// BLAKE3 of the program's file, in hexadecimal.
    pub executable: String,
    /// The size of the program's file; bytes.
    pub executable_bytes: u64,
    /// What the program is called: the first word of its command line.
    pub program: String,
    /// The other words of its command line.
    pub args: Vec<String>,
    /// Variables of its environment, over those of the head.
    pub env: BTreeMap<String, String>,
    /// The folder that it starts in, when it is on the head's machine already; default: one of its own.
    pub working_dir: Option<String>,
    /// BLAKE3 of the archive of the directory that is sent with it, in hexadecimal.
    ///
    /// Its processes run in a copy, on every node. [`Client::submit_job_in`](crate::control::Client::submit_job_in)
    /// fills it in.
    pub archive: Option<String>,
    /// The size of that archive; bytes.
    pub archive_bytes: u64,
}

/// The most bytes of a program.
pub(super) const EXECUTABLE_BYTES_MAX: u64 = 8 << 30;
const NAME_BYTES_MAX: usize = 128;
/// What the runtime sets by itself.
const RESERVED: [&str; 5] = [
    "RAY_ADDRESS",
    "RAY_TOKEN",
    "RAY_JOB_ID",
    "RAY_WORKER",
    working_dir::VARIABLE,
];

impl JobRequest {
    /// Returns a request for a program without arguments, under a number that nobody else drew.
    pub fn new(program: impl Into<String>) -> JobRequest {
        JobRequest {
            job: crate::runtime::start::random_u64() >> 32,
            program: program.into(),
            ..JobRequest::default()
        }
    }

    /// Returns what is wrong with it, for the person who sent it.
    pub(super) fn check(&self) -> Result<(), String> {
        let digits = self.executable.bytes();
        if self.executable.len() != 64 || !digits.clone().all(|digit| digit.is_ascii_hexdigit()) {
            return Err("the program's hash is not one of BLAKE3 in hexadecimal".into());
        }
        if self.executable_bytes == 0 || self.executable_bytes > EXECUTABLE_BYTES_MAX {
            return Err(format!(
                "a program of {} bytes: it must have from 1 to {EXECUTABLE_BYTES_MAX}",
                self.executable_bytes
            ));
        }
        if let Some(name) = &self.name
            && (name.is_empty()
                || name.len() > NAME_BYTES_MAX
                || name.chars().any(|letter| letter.is_control()))
        {
            return Err(format!(
                "a job's name has from 1 to {NAME_BYTES_MAX} bytes and no control characters"
            ));
        }
        for name in self.env.keys() {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(format!("`{name}` is not a name for a variable"));
            }
            if RESERVED.contains(&name.as_str()) {
                return Err(format!("{name} is set by the runtime and cannot be given"));
            }
        }
        let texts = self.args.iter().chain(self.env.values());
        let all = texts.chain([&self.program]).chain(&self.working_dir);
        if all.clone().any(|text| text.contains('\0')) {
            return Err(
                "an argument or variable holds a NUL, which no process can be given".into(),
            );
        }
        if let Some(folder) = &self.working_dir
            && !folder.starts_with('/')
        {
            return Err(format!(
                "the working folder `{folder}` is not absolute; it is a folder on the head's machine"
            ));
        }
        self.archive()?;
        Ok(())
    }

    /// Returns the archive of the directory that is sent with it.
    ///
    /// # Errors
    /// A text for the person who sent it.
    pub(super) fn archive(&self) -> Result<Option<Content>, String> {
        let Some(hash) = &self.archive else {
            return Ok(None);
        };
        let hash = blake3::Hash::from_hex(hash)
            .map_err(|_| "the archive's hash is not one of BLAKE3 in hexadecimal".to_owned())?;
        let len = self.archive_bytes;
        if len == 0 || len > working_dir::ARCHIVE_BYTES_MAX {
            return Err(format!(
                "a working directory of {len} bytes: its archive has from 1 to {}",
                working_dir::ARCHIVE_BYTES_MAX
            ));
        }
        if self.working_dir.is_some() {
            return Err(
                "a job has one working directory: one of the head's or one that is sent".into(),
            );
        }
        Ok(Some(Content {
            hash: *hash.as_bytes(),
            len,
        }))
    }

    /// Returns its command line as people read it.
    pub(super) fn command_line(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.args);
        let quoted = words.map(|word| {
            if word.is_empty() || word.contains([' ', '\t', '\n', '"', '\'']) {
                format!("{word:?}")
            } else {
                word.clone()
            }
        });
        quoted.collect::<Vec<_>>().join(" ")
    }

    /// Returns it as it may be written down: the values of variables may be secrets.
    pub(crate) fn without_values(&self) -> JobRequest {
        let hidden = |name: &String| (name.clone(), "…".to_owned());
        JobRequest {
            env: self.env.keys().map(hidden).collect(),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> JobRequest {
        JobRequest {
            executable: "ab".repeat(32),
            executable_bytes: 10,
            program: "train".into(),
            args: vec!["--seed".into(), "a b".into()],
            ..JobRequest::default()
        }
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_its_reason() {
        assert_eq!(good().check(), Ok(()));
        assert_eq!(good().command_line(), "train --seed \"a b\"");
        let env = |name: &str, value: &str| {
            let env = [(name.to_owned(), value.to_owned())].into();
            JobRequest { env, ..good() }
        };
        let wrong = [
            JobRequest {
                executable: "../../etc/passwd".into(),
                ..good()
            },
            JobRequest {
                executable_bytes: 0,
                ..good()
            },
            JobRequest {
                name: Some("a\nb".into()),
                ..good()
            },
            JobRequest {
                working_dir: Some("here".into()),
                ..good()
            },
            env("RAY_TOKEN", "mine"),
            env("A=B", ""),
            env("A", "\0"),
        ];
        for request in wrong {
            assert!(request.check().is_err(), "{request:?}");
        }
    }

    #[test]
    fn values_of_variables_are_not_written_down() {
        let env = [("KEY".to_owned(), "secret".to_owned())].into();
        let request = JobRequest { env, ..good() };
        let text = serde_json::to_string(&request.without_values()).expect("JSON");
        assert!(text.contains("KEY") && !text.contains("secret"));
    }
}
