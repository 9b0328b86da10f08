//! A browser: what it keeps, where it goes, what its page shows.

use std::collections::HashMap;

use bytes::Bytes;
use http::{Method, Request, Response, header};

use super::{World, encode, landed, text};

/// A browser: keeps cookies, follows redirects within the gate.
pub(in crate::auth) struct Browser<'a> {
    world: &'a World,
    pub(in crate::auth) cookies: HashMap<String, String>,
    /// Where it is, of the gate's pages.
    pub(in crate::auth) path: String,
    pub(in crate::auth) answer: Response<Bytes>,
    /// Its `Accept-Language`.
    pub(in crate::auth) languages: &'static str,
    /// Values of boxes that the person takes the tick from.
    pub(in crate::auth) unticked: Vec<&'static str>,
}

impl<'a> Browser<'a> {
    pub(in crate::auth) fn new(world: &'a World) -> Self {
        Self {
            world,
            cookies: HashMap::new(),
            path: String::new(),
            answer: Response::new(Bytes::new()),
            languages: "",
            unticked: Vec::new(),
        }
    }

    /// Opens the link of an app.
    pub(in crate::auth) async fn open(&mut self, request: &[(&'static str, String)]) {
        self.go(&format!("/auth/authorize?{}", encode(request))).await;
    }

    pub(in crate::auth) async fn go(&mut self, path: &str) {
        self.visit(Method::GET, path, String::new()).await;
    }

    /// Submits the form that the page shows.
    pub(in crate::auth) async fn submit(&mut self, fields: &[(&str, &str)]) {
        let id = self.hidden("id").unwrap();
        let mut form = vec![("id", id.as_str())];
        let begun = self.hidden("begun");
        form.extend(begun.as_deref().map(|begun| ("begun", begun)));
        let ticked = self.ticked();
        form.extend(ticked.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        form.extend(fields.iter().copied().filter(|(_, value)| !value.is_empty()));
        let path = self.path.split('?').next().unwrap().to_owned();
        self.visit(Method::POST, &path, encode(&form)).await;
    }

    /// Posts a form of its own making.
    pub(in crate::auth) async fn post(&mut self, path: &str, form: &[(&str, &str)]) {
        self.visit(Method::POST, path, encode(form)).await;
    }

    pub(in crate::auth) async fn log_in(&mut self, username: &str, password: &str) {
        self.submit(&[("username", username), ("password", password), ("do", "login")]).await;
    }

    pub(in crate::auth) fn html(&self) -> &str {
        text(&self.answer)
    }

    /// The value of a hidden field on the page.
    pub(in crate::auth) fn hidden(&self, name: &str) -> Option<String> {
        let field = format!("<input type=\"hidden\" name=\"{name}\" value=\"");
        let (_, rest) = self.html().split_once(&field)?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    }

    /// Follows the link to the provider.
    pub(in crate::auth) async fn federate(&mut self) {
        let (_, rest) = self.html().split_once("href=\"federate").unwrap();
        let link = rest.split_once('"').unwrap().0.replace("&#38;", "&");
        self.go(&format!("/auth/federate{link}")).await;
    }

    /// Names and values of the boxes that are ticked.
    fn ticked(&self) -> Vec<(String, String)> {
        let boxes = self.html().split("<input type=\"checkbox\" name=\"").skip(1);
        boxes
            .filter_map(|rest| {
                let (name, rest) = rest.split_once("\" value=\"")?;
                let (value, rest) = rest.split_once('"')?;
                let ticked = rest.starts_with(" checked>") && !self.unticked.contains(&value);
                ticked.then(|| (name.to_owned(), value.replace("&#38;", "&")))
            })
            .collect()
    }

    pub(in crate::auth) fn landed(&self) -> HashMap<String, String> {
        landed(&self.answer)
    }

    async fn visit(&mut self, method: Method, path: &str, body: String) {
        let (mut method, mut path, mut body) = (method, path.to_owned(), body);
        for _ in 0..5 {
            let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let request = Request::builder()
                .method(&method)
                .uri(&path)
                .header(header::ACCEPT_LANGUAGE, self.languages)
                .header(header::COOKIE, cookies.join("; "))
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Bytes::from(std::mem::take(&mut body)))
                .unwrap();
            self.answer = self.world.send(request).await;
            self.path = path.clone();
            for cookie in self.answer.headers().get_all(header::SET_COOKIE) {
                let cookie = cookie::Cookie::parse(cookie.to_str().unwrap()).unwrap();
                if cookie.max_age() == Some(cookie::time::Duration::ZERO) {
                    self.cookies.remove(cookie.name());
                } else {
                    self.cookies.insert(cookie.name().to_owned(), cookie.value().to_owned());
                }
            }
            let location = self.answer.headers().get(header::LOCATION).map(|location| location.to_str().unwrap());
            match location {
                Some(location) if !location.contains(':') => path = format!("/auth/{location}"),
                _ => return,
            }
            method = Method::GET;
        }
        panic!("redirects without end: {path}");
    }
}
