//! What happens, as it is told.

use super::*;

impl Play {
    pub(super) async fn tell_events(&mut self) {
        while let Some(event) = self.driver.poll_event() {
            self.tell(event).await;
        }
    }

    async fn tell(&mut self, event: Event) {
        let now = self.clock.now();
        match event {
            Event::Invited { .. } => self.be_invited(now, &event).await,
            Event::Progress { session, status } => {
                let Some(number) = self.number_of(session) else { return };
                self.driver.recorder.event(now, &event);
                self.voice.tell(now, &Told::Progress { session: number, status });
            }
            Event::Established { session, answer_state, ref focus, ref media } => {
                let Some(number) = self.number_of(session) else { return };
                self.driver.recorder.event(now, &event);
                let answer_state = match answer_state {
                    AnswerState::Confirmed => "confirmed",
                    AnswerState::Unconfirmed => "unconfirmed",
                };
                let media = Agreed::from(&**media);
                let named = Named::from(focus.as_ref());
                let told = Told::Established { session: number, answer_state, focus: named, media };
                self.voice.tell(now, &told);
                self.join_in(session, focus.as_ref()).await;
                if let Some(current) = &mut self.current {
                    current.is_established = true;
                }
                if let Event::Established { media, .. } = &event {
                    self.begin_talking(media);
                }
                self.schedule(self.plan.leave_after, Wish::Leave);
                self.schedule(self.plan.reoffer_after, Wish::Reoffer);
                let cancel = self.plan.reoffer_after.zip(self.plan.reoffer_cancel_after);
                self.schedule(cancel.map(|(after, then)| after + then), Wish::CancelReoffer);
            }
            Event::Modified { session, ref media } => {
                let Some(number) = self.number_of(session) else { return };
                self.driver.recorder.event(now, &event);
                self.voice.tell(now, &Told::Modified { session: number, media: Agreed::from(&**media) });
            }
            Event::ModificationEnded { session, end, by, status } => {
                let Some(number) = self.number_of(session) else { return };
                self.driver.recorder.event(now, &event);
                self.voice.tell(now, &Told::ModificationEnded { session: number, end, by, status });
            }
            Event::Locate { session, uri } => {
                let (locator, uri) = (Arc::clone(&self.locator), String::from_utf8_lossy(&uri).into_owned());
                self.lookups.spawn(async move { (session, locator.locate(&uri, None).await) });
            }
            Event::TalkBurst { session, ref told } => {
                self.driver.recorder.event(now, &event);
                self.tell_burst(now, session, told).await;
            }
            Event::Heard { session, ref speech } => self.hear(now, session, speech),
            Event::Ended { session, ref outcome } => {
                if let Some(number) = self.number_of(session) {
                    self.tell_heard(now, number);
                }
                let Some(current) = self.current.take_if(|current| current.id == session) else { return };
                self.end_talking(now, current.talking);
                self.driver.recorder.event(now, &event);
                self.voice.tell(now, &Told::Ended(Ended::new(current.number, outcome)));
                self.scheduled.clear();
                self.ladder_at = Some(now + self.linger);
                self.is_heard |= outcome.end != End::TransportFailed;
                self.finished
                    .push_back(Finished { outcome: outcome.clone(), was_unwanted: current.is_unwanted });
            }
            Event::Registered { .. }
            | Event::RegistrationFailed { .. }
            | Event::Deregistered { .. }
            | Event::SettingsPublished
            | Event::SettingsFailed { .. } => self.tell_enrolment(now, &event),
            Event::MemberProgress { .. }
            | Event::MemberChanged { .. }
            | Event::Participants { .. }
            | Event::WatchEnded { .. } => self.tell_members(now, &event),
            Event::Alerted { .. }
            | Event::AlertAnswered { .. }
            | Event::PreEstablished
            | Event::PreEstablishedEnded { .. } => self.tell_beside(now, event),
            // The driver has closed it.
            Event::Disconnect { .. } => {}
        }
    }

    /// What is asked of a session once it stands.
    async fn join_in(&mut self, session: SessionId, focus: Option<&Focus>) {
        if focus.is_some_and(|focus| focus.session_type != SessionType::OneToOne) {
            let input = poc::Input::Command(poc::Command::Watch(session));
            // Without it there is less to show, and that is all.
            let _ = self.driver.press(None, |client, now| client.handle_input(now, input)).await;
        }
        if !self.members.is_empty() {
            self.schedule(Some(self.change_after), Wish::ChangeMembers);
        }
    }

    /// Who else is in a session.
    fn tell_members(&mut self, now: Instant, event: &Event) {
        let Some(session) = event.session().and_then(|session| self.number_of(session)) else { return };
        let told = match event {
            Event::MemberProgress { change, user, status, .. } => {
                Told::MemberProgress { session, change: *change, user: text(user), status: *status }
            }
            Event::MemberChanged { change, user, status, .. } => {
                Told::MemberChanged { session, change: *change, user: text(user), status: *status }
            }
            Event::Participants { roster, .. } => {
                Told::Participants { session, participants: roster.users().map(Participant::from).collect() }
            }
            Event::WatchEnded { status, .. } => Told::ParticipantsUnknown { session, status: *status },
            Event::Progress { .. }
            | Event::Invited { .. }
            | Event::Established { .. }
            | Event::Modified { .. }
            | Event::ModificationEnded { .. }
            | Event::Ended { .. }
            | Event::Alerted { .. }
            | Event::AlertAnswered { .. }
            | Event::PreEstablished
            | Event::PreEstablishedEnded { .. }
            | Event::Registered { .. }
            | Event::RegistrationFailed { .. }
            | Event::Deregistered { .. }
            | Event::SettingsPublished
            | Event::SettingsFailed { .. }
            | Event::Locate { .. }
            | Event::TalkBurst { .. }
            | Event::Heard { .. }
            | Event::Disconnect { .. } => return,
        };
        self.driver.recorder.event(now, event);
        self.voice.tell(now, &told);
    }

    /// What is about no session.
    fn tell_beside(&mut self, now: Instant, event: Event) {
        let told = match event {
            Event::Alerted { from, alert: Alert::Personal { text: word } } => {
                Told::Alerted { from: text(&from), text: word }
            }
            Event::Alerted { from, alert: Alert::Group(advertisement) } => Told::Advertised {
                from: text(&from),
                group: text(&advertisement.group),
                name: advertisement.display_name,
                kind: advertisement.kind.map(|kind| kind.as_str()),
                note: advertisement.note,
            },
            Event::AlertAnswered { status, .. } => {
                self.alert_answer = Some(status);
                Told::AlertAnswered { status }
            }
            Event::PreEstablished => {
                self.is_pre_established = Some(true);
                Told::PreEstablished
            }
            Event::PreEstablishedEnded { status, retry_in } => {
                self.is_pre_established = Some(false);
                // One that is left with the registration is nothing to tell.
                if self.is_closing {
                    return;
                }
                let seconds_to_retry = retry_in.map(|span| span.as_secs());
                Told::NotPreEstablished { status, seconds_to_retry }
            }
            Event::Progress { .. }
            | Event::Invited { .. }
            | Event::Established { .. }
            | Event::Modified { .. }
            | Event::ModificationEnded { .. }
            | Event::MemberProgress { .. }
            | Event::MemberChanged { .. }
            | Event::Participants { .. }
            | Event::WatchEnded { .. }
            | Event::Ended { .. }
            | Event::Registered { .. }
            | Event::RegistrationFailed { .. }
            | Event::Deregistered { .. }
            | Event::SettingsPublished
            | Event::SettingsFailed { .. }
            | Event::Locate { .. }
            | Event::TalkBurst { .. }
            | Event::Heard { .. }
            | Event::Disconnect { .. } => return,
        };
        self.voice.tell(now, &told);
    }

    fn tell_enrolment(&mut self, now: Instant, event: &Event) {
        let in_seconds = |span: Option<Duration>| span.map(|span| span.as_secs());
        let told = match *event {
            Event::Registered { expires, .. } => {
                self.enrolment = Enrolment::Registered;
                Told::Registered { user: self.driver.user(), seconds: expires.as_secs() }
            }
            Event::RegistrationFailed { status, retry_in } => {
                self.enrolment = match (status, retry_in) {
                    (Some(status), None) => Enrolment::Refused(status),
                    (status, _) => Enrolment::Asked { failed: Some(status) },
                };
                Told::RegistrationFailed { status, seconds_to_retry: in_seconds(retry_in) }
            }
            Event::Deregistered { status } => {
                self.enrolment = Enrolment::Nothing;
                Told::Deregistered { status }
            }
            Event::SettingsPublished => Told::Published,
            Event::SettingsFailed { status, retry_in } => {
                Told::PublishingFailed { status, seconds_to_retry: in_seconds(retry_in) }
            }
            Event::Progress { .. }
            | Event::Invited { .. }
            | Event::Established { .. }
            | Event::Modified { .. }
            | Event::ModificationEnded { .. }
            | Event::MemberProgress { .. }
            | Event::MemberChanged { .. }
            | Event::Participants { .. }
            | Event::WatchEnded { .. }
            | Event::Alerted { .. }
            | Event::AlertAnswered { .. }
            | Event::PreEstablished
            | Event::PreEstablishedEnded { .. }
            | Event::Ended { .. }
            | Event::Locate { .. }
            | Event::TalkBurst { .. }
            | Event::Heard { .. }
            | Event::Disconnect { .. } => return,
        };
        self.voice.tell(now, &told);
    }

    /// A next hop within a session was looked up. Without an answer requests go the way of the INVITE.
    pub(super) async fn be_located(&mut self, session: SessionId, located: Result<Vec<Target>, LocateError>) {
        let Ok(targets) = located else { return };
        let command = poc::Input::Command(poc::Command::Located { session, targets });
        // It may be over by now.
        let _ = self.driver.press(None, |client, now| client.handle_input(now, command)).await;
    }

    async fn be_invited(&mut self, now: Instant, event: &Event) {
        let Event::Invited { session: id, inviter, group, others, focus, answer_mode: mode } = event else {
            return;
        };
        let (id, mode) = (*id, *mode);
        if !self.is_open || self.current.is_some() {
            // Nobody is there to answer. What the client accepted by itself is left.
            let _ = self.driver.press(None, |client, now| client.hang_up(now, id)).await;
            return;
        }
        self.show_ladder();
        let from = text(inviter);
        self.begin_ladder(&from);
        self.driver.recorder.event(now, event);
        self.numbered += 1;
        self.begin(id, self.numbered, Role::Invited);
        let answer_mode = match mode {
            AnswerMode::Manual => "manual",
            AnswerMode::Automatic => "automatic",
        };
        let (group, focus) = (group.as_deref().map(text), Named::from(focus.as_ref()));
        let others = others.iter().map(|other| text(other)).collect();
        let told = Told::Invited { session: self.numbered, from, group, others, focus, answer_mode };
        self.voice.tell(now, &told);
        if mode == AnswerMode::Manual {
            if self.wishes.has_keys() && !self.voice.has_screen() {
                self.voice.story("           a answer, r refuse, q hang up and end");
            }
            self.schedule(self.plan.answer_after, Wish::Answer);
            self.schedule(self.plan.refuse_after, Wish::Refuse);
        }
    }
}

/// What a peer wrote.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
