//! One operation, carried out within `[store] timeout`, and once more where that cannot hurt.

use std::error::Error as _;
use std::future::Future;
use std::time::Duration;

use deadpool_postgres::{Object, Pool, PoolError};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity, SqlState};

use super::super::StoreError;

/// What is done when a connection breaks before the answer: the operation may have been carried out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// To do it again changes nothing more, and gives the same answer or one that its caller takes for it.
    Repeat,
    /// Done again it would say of its own first time that somebody else was first. It has failed: whatever it gave is lost, and
    /// nothing is given twice.
    Fail,
}

/// The attempts at one operation: at most two, within one time limit.
pub(super) struct Attempts<'a> {
    pool: &'a Pool,
    lost: Lost,
    limit: Duration,
    deadline: Instant,
    last: bool,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(pool: &'a Pool, limit: Duration, lost: Lost) -> Self {
        Self { pool, lost, limit, deadline: Instant::now() + limit, last: false }
    }

    /// A connection, new or used before.
    pub(super) async fn connection(&self) -> Result<Object, StoreError> {
        match timeout_at(self.deadline, self.pool.get()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(PoolError::Backend(error))) => Err(StoreError(explained(&error))),
            Ok(Err(error)) => Err(StoreError(error.to_string())),
            Err(_) => Err(StoreError(format!("no connection to PostgreSQL within {:?}", self.limit))),
        }
    }

    /// Waits for what was asked on a connection of [`Attempts::connection`].
    pub(super) async fn within<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Option<Result<T, Error>> {
        timeout_at(self.deadline, work).await.ok()
    }

    /// What came of an attempt: the operation's answer, or nothing where it is to be tried again.
    pub(super) fn settle<T>(
        &mut self,
        connection: Object,
        outcome: Option<Result<T, Error>>,
    ) -> Option<Result<T, StoreError>> {
        let error = match outcome {
            Some(Ok(answer)) => return Some(Ok(answer)),
            Some(Err(error)) => error,
            None => {
                drop(Object::take(connection));
                return Some(Err(StoreError(format!("PostgreSQL did not answer within {:?}", self.limit))));
            }
        };
        let failure = Failure::of(&error);
        if failure != Failure::Refused {
            drop(Object::take(connection));
        }
        if failure == Failure::Standby {
            // The other connections lead to the same server, which takes no writes any more.
            self.pool.retain(|_, _| false);
        }
        let repeat = match failure {
            Failure::Undone | Failure::Standby => true,
            Failure::Lost => self.lost == Lost::Repeat,
            Failure::Refused => false,
        };
        if repeat && !self.last {
            self.last = true;
            tracing::warn!(error = explained(&error), "an operation of the store is tried again");
            return None;
        }
        Some(Err(StoreError(explained(&error))))
    }
}

/// What is known after an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Failure {
    /// The server took everything back and would do so again.
    Refused,
    /// The server took everything back for the sake of somebody else's transaction.
    Undone,
    /// The server takes no writes: another one has its place.
    Standby,
    /// Nobody knows: the connection broke.
    Lost,
}

impl Failure {
    fn of(error: &Error) -> Self {
        match error.as_db_error() {
            None => Self::Lost,
            Some(error) if *error.code() == SqlState::READ_ONLY_SQL_TRANSACTION => Self::Standby,
            Some(error) if ends_the_connection(error) => Self::Lost,
            Some(error)
                if [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(error.code()) =>
            {
                Self::Undone
            }
            Some(_) => Self::Refused,
        }
    }
}

fn ends_the_connection(error: &DbError) -> bool {
    matches!(error.parsed_severity(), None | Some(Severity::Fatal | Severity::Panic))
}

/// An error in a line. What the server quotes of the data in its details stays out.
pub(super) fn explained(error: &Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!("{} (PostgreSQL, {})", error.message(), error.code().code());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
