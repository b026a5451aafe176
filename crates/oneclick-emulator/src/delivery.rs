//! Faulty responses, which are written to the socket without an HTTP library.

use std::io;
use std::time::Duration;

use http::Response;
use http::header::CONTENT_LENGTH;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::state::Delivery;

/// A response that hyper would not send.
pub(crate) struct FaultyResponse {
    pub(crate) response: Response<Vec<u8>>,
    pub(crate) delivery: Delivery,
}

impl FaultyResponse {
    /// Writes the response and closes the connection. For [`Delivery::Never`] it stays open
    /// until the client has closed its sending side, and for `linger` after that.
    pub(crate) async fn write(self, mut stream: TcpStream, linger: Duration) -> io::Result<()> {
        let body = self.response.body();
        match self.delivery {
            Delivery::Cut(at) => {
                stream.write_all(&self.head(0)).await?;
                stream.write_all(&body[..at.min(body.len())]).await?;
            }
            Delivery::NoLength(at) => {
                stream.write_all(&self.lines("HTTP/1.0")).await?;
                stream.write_all(b"\r\n").await?;
                stream.write_all(&body[..at.unwrap_or(body.len()).min(body.len())]).await?;
            }
            Delivery::WrongLength(by) => {
                stream.write_all(&self.head(by)).await?;
                stream.write_all(body).await?;
            }
            Delivery::Trickle(pause) => {
                stream.write_all(&self.head(0)).await?;
                for byte in body {
                    sleep(pause).await;
                    stream.write_all(&[*byte]).await?;
                }
            }
            Delivery::NotHttp => stream.write_all(b"\x16\x03\x01 not HTTP\r\n\r\n").await?,
            Delivery::Never => {
                while stream.read(&mut [0; 512]).await? > 0 {}
                sleep(linger).await;
            }
            // The delay is over already.
            Delivery::Whole | Delivery::Late(_) => {
                stream.write_all(&self.head(0)).await?;
                stream.write_all(body).await?;
            }
            Delivery::Dropped => {}
        }
        stream.shutdown().await
    }

    /// The head, with a `content-length` that is `by` larger than it should be.
    fn head(&self, by: i32) -> Vec<u8> {
        // The response to a HEAD declares the length of a body that it does not have.
        let declared = self.response.headers().get(CONTENT_LENGTH);
        let declared = declared.and_then(|length| length.to_str().ok()?.parse().ok());
        let actual = || i64::try_from(self.response.body().len()).unwrap_or(i64::MAX);
        let length = declared.unwrap_or_else(actual).saturating_add(by.into()).max(0);
        let mut head = self.lines("HTTP/1.1");
        head.extend(format!("content-length: {length}\r\nconnection: close\r\n\r\n").as_bytes());
        head
    }

    /// The status line and the headers, without `content-length`.
    fn lines(&self, version: &str) -> Vec<u8> {
        let mut lines = format!("{version} {}\r\n", self.response.status()).into_bytes();
        let headers = self.response.headers().iter();
        for (name, value) in headers.filter(|(name, _)| *name != CONTENT_LENGTH) {
            lines.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        lines
    }
}
