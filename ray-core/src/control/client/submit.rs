//! Submitting jobs: what the head has not yet of a job is sent first.

use std::{fs::File, io, path::Path};

use super::{Client, encode, exchange, refusal, unexpected};
use crate::{
    Error, Result,
    control::{
        jobs::JobRequest,
        protocol::{Answer, Command, Reply, Request},
    },
    working_dir,
};

impl Client {
    /// Submits a job whose program is the file `path`; sends the file when the head has it not.
    ///
    /// Its hash and size are filled in. Returns the job's id.
    ///
    /// # Errors
    /// As [`Client::query`]; a file that cannot be read.
    pub fn submit_job(&self, request: JobRequest, path: &Path) -> Result<String> {
        self.submit(request, path, None)
    }

    /// Submits a job together with a directory, in a copy of which its processes run on every node.
    ///
    /// What is sent of a directory, [`RuntimeEnv::working_dir`](crate::RuntimeEnv::working_dir) tells. Returns the
    /// job's id.
    ///
    /// # Errors
    /// As [`Client::submit_job`]; `RuntimeEnv` for a directory that cannot be sent.
    pub fn submit_job_in(
        &self,
        mut request: JobRequest,
        path: &Path,
        directory: &Path,
    ) -> Result<String> {
        let aside = std::env::temp_dir();
        let packed = working_dir::pack_aside(directory, &aside).map_err(Error::RuntimeEnv)?;
        let hash = blake3::Hash::from_bytes(packed.archive.hash);
        request.archive = Some(hash.to_hex().to_string());
        request.archive_bytes = packed.archive.len;
        self.submit(request, path, Some(&packed.path))
    }

    fn submit(
        &self,
        mut request: JobRequest,
        path: &Path,
        archive: Option<&Path>,
    ) -> Result<String> {
        let unreadable = |error: io::Error| Error::InvalidOption {
            option: "program".into(),
            reason: format!("{} cannot be read: {error}", path.display()),
        };
        let mut hasher = blake3::Hasher::new();
        let mut file = File::open(path).map_err(unreadable)?;
        request.executable_bytes = io::copy(&mut file, &mut hasher).map_err(unreadable)?;
        request.executable = hasher.finalize().to_hex().to_string();
        for _ in 0..3 {
            let answer = self.command(Command::SubmitJob(request.clone()))?;
            match (answer, &request.archive, archive) {
                (Answer::Submitted { job_id }, ..) => return Ok(job_id),
                (Answer::ExecutableWanted, ..) => {
                    self.upload(&request.executable, request.executable_bytes, path)?
                }
                (Answer::ArchiveWanted, Some(hash), Some(archive)) => {
                    self.upload(hash, request.archive_bytes, archive)?
                }
                (other, ..) => return Err(unexpected(&other)),
            }
        }
        Err(Error::System(
            "the head took what was sent and has it not; look at its log".into(),
        ))
    }

    fn upload(&self, hash: &str, bytes: u64, path: &Path) -> Result<()> {
        let upload = Request::Upload {
            secret: self.token.secret().to_vec(),
            hash: hash.to_owned(),
            bytes,
        };
        let mut line = encode(&upload)?;
        line.push(b'\n');
        match exchange(&self.address, &self.token, &line, Some(path))?.0 {
            Reply::Answer(Answer::Done) => Ok(()),
            Reply::Answer(other) => Err(unexpected(&other)),
            Reply::Refused(refused) => Err(refusal(refused.code, refused.text)),
            Reply::Joined(_) => Err(Error::System("the head answered another question".into())),
        }
    }
}
