//! Answers that do not arrive as they should, written byte by byte.

use std::io;
use std::time::Duration;

use http::Response;
use http::header::CONTENT_LENGTH;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::state::Delivery;

/// An answer that no HTTP library would send.
pub(crate) struct Broken {
    pub(crate) response: Response<Vec<u8>>,
    pub(crate) delivery: Delivery,
}

impl Broken {
    /// Writes it, and closes the connection. A client that closed its sending side may
    /// still wait for what never comes; it has `patience` for that.
    pub(crate) async fn write(self, mut stream: TcpStream, patience: Duration) -> io::Result<()> {
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
            Delivery::NotHttp => stream.write_all(b"\x16\x03\x01 nothing of HTTP\r\n\r\n").await?,
            Delivery::Never => {
                while stream.read(&mut [0; 512]).await? > 0 {}
                sleep(patience).await;
            }
            // What is late has waited before.
            Delivery::Whole | Delivery::Late(_) => {
                stream.write_all(&self.head(0)).await?;
                stream.write_all(body).await?;
            }
            Delivery::Dropped => {}
        }
        stream.shutdown().await
    }

    /// The head, with a `content-length` that is wrong by so much.
    fn head(&self, by: i32) -> Vec<u8> {
        // The response to a HEAD says how long the body would be.
        let declared = self.response.headers().get(CONTENT_LENGTH);
        let declared = declared.and_then(|length| length.to_str().ok()?.parse().ok());
        let actual = || i64::try_from(self.response.body().len()).unwrap_or(i64::MAX);
        let length = declared.unwrap_or_else(actual).saturating_add(by.into()).max(0);
        let mut head = self.lines("HTTP/1.1");
        head.extend(format!("content-length: {length}\r\nconnection: close\r\n\r\n").as_bytes());
        head
    }

    /// The status line, and the headers of the response without its length.
    fn lines(&self, version: &str) -> Vec<u8> {
        let mut lines = format!("{version} {}\r\n", self.response.status()).into_bytes();
        let headers = self.response.headers().iter();
        for (name, value) in headers.filter(|(name, _)| *name != CONTENT_LENGTH) {
            lines.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        lines
    }
}
