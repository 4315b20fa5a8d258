//! Rules that a test build can switch off, one at a time, so that it shows whether anybody would notice.
//!
//! Only under `--cfg talkburst_mutants` is there anything to switch; otherwise [`Guard::is_off`] is `false` when it is compiled, and
//! what stands behind it is not there. `docs/proof.md` has who notices what.

macro_rules! guards {
    ($($name:ident $row:literal $rule:literal $place:literal,)*) => {
        /// A rule of the control-plane digest, or of the user-plane digest for the talk burst.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Guard {
            $(#[doc = $rule] $name,)*
        }

        impl Guard {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Where the rule stands.
            pub const fn row(self) -> &'static str {
                match self { $(Self::$name => $row,)* }
            }

            /// The rule.
            pub const fn rule(self) -> &'static str {
                match self { $(Self::$name => $rule,)* }
            }

            /// The file that obeys it.
            pub const fn place(self) -> &'static str {
                match self { $(Self::$name => $place,)* }
            }
        }
    };
}

guards! {
    WaitsForProvisional "14.3 U1" "No CANCEL leaves before a provisional response." "sip/usage/invite_client.rs",
    LeavesOnProvisional "14.3 U1c" "A CANCEL that waits leaves with the first 1xx." "sip/usage/invite_client.rs",
    CancelsProceeding "14.3 U2" "The user's wish sends the CANCEL." "sip/usage/invite_client.rs",
    OneCancel "14.3 U2c" "A further 1xx brings no second CANCEL." "sip/usage/invite_client.rs",
    WaitingSuccessIsLeft "14.3 U1c" "A 2xx that comes while the CANCEL waits is acknowledged and left." "sip/usage/invite_client.rs",
    CrossingSuccessIsLeft "14.3 U2c" "A 2xx that crosses the CANCEL is acknowledged and left." "sip/usage/invite_client.rs",
    LateSuccessIsLeft "14.3 U4" "A 2xx that comes after giving up is acknowledged and left." "sip/usage/invite_client.rs",
    OtherForkIsLeft "14.3 U2c" "A further 2xx with another To tag is acknowledged and left." "sip/usage/invite_client.rs",
    NoAttemptAfterWish "14.3 U1c" "After the wish a challenge or a redirection starts nothing new." "sip/usage/invite_client.rs",
    GuardExpires "14.3 U2c" "64*T1 after the CANCEL the invitation counts as cancelled." "sip/usage/invite_client.rs",
    TooLateAfterFinal "14.3 U3" "After a final response no CANCEL leaves." "sip/usage/invite_client.rs",
    LimitCancels "14.3 U2" "The limit of the client does what the user's wish does." "sip/usage/invite_client.rs",
    LateProvisionalIsCancelled "14.3 U4" "A 1xx that comes after giving up is cancelled, once." "sip/usage/invite_client.rs",
    FailureAfterWishIsCancelled "14.3 U2c" "Whatever failure comes after the wish, the user is told that it was cancelled." "sip/usage/invite_client.rs",
    SilenceAfterWishIsCancelled "14.3 U1c" "Timer B after the wish tells the user that it was cancelled." "sip/usage/invite_client.rs",
    FailureIsAcknowledged "14.3 U2c" "The transaction acknowledges 487 and every other failure." "sip/transaction/invite_client.rs",
    FailureIsAcknowledgedAgain "14.7 R6" "Every copy of a failure is acknowledged." "sip/transaction/invite_client.rs",
    AbandonedRemembers "14.3 U2c" "What was given up is remembered for 64*T1." "sip/transaction/invite_client.rs",
    SuccessIsAcknowledgedAgain "14.3 U3" "Every copy of a 2xx is acknowledged." "sip/endpoint/inviting.rs",
    CancelIsSentAgain "14.7 R5" "A CANCEL is sent again until it is answered." "sip/transaction/client.rs",
    AnswerStopsCancel "14.3 U2c" "The answer to the CANCEL ends its copies." "sip/transaction/client.rs",
    CancelIsAnswered "14.4 V1" "200 to the CANCEL, at once." "sip/endpoint/invited.rs",
    CancelledIs487 "14.4 V1" "487 to the INVITE that is cancelled." "sip/endpoint/invited.rs",
    NoEffectAfterFinal "14.4 V2" "A CANCEL after the final response has no effect." "sip/endpoint/invited.rs",
    CopyIsAnsweredAgain "14.4 V5" "A copy of the CANCEL is answered with the same 200." "sip/transaction/server.rs",
    InviteCopyIsAnsweredAgain "14.4 V5" "A copy of the INVITE is answered with the 487 again." "sip/transaction/invite_server.rs",
    AckEndsFailure "14.4 V5" "The ACK ends the copies of the 487." "sip/transaction/invite_server.rs",
    SuccessIsSentAgain "14.4 V2" "A 2xx is sent again until its ACK comes." "sip/usage/invite_server.rs",
    UnacknowledgedIsLeft "14.4 V2" "A 2xx without ACK is left after 64*T1." "sip/usage/invite_server.rs",
    LeaveWaitsForAck "14.6 step 3" "No BYE before the ACK of the 2xx." "sip/endpoint/leaving.rs",
    LateCopiesAreAbsorbed "14.4 V2" "A late copy of the INVITE does not ring." "sip/transaction/invite_server.rs",
    EveryBranchIsCancelled "14.5" "A proxy cancels every branch that is pending." "sipcore/proxy/context.rs",
    LosersAreCancelled "14.7 R10" "A proxy cancels the branches that lost against a 2xx." "sipcore/proxy/context.rs",
    WishEndsSetUp "14.6 step 1" "The CANCEL of the inviter ends the whole set-up." "poc/server/controlling/mod.rs",
    PendingLegsAreCancelled "14.6 step 3" "Every leg that is pending is cancelled." "poc/server/controlling/release.rs",
    ConnectedLegsAreLeft "14.6 step 3" "Every leg that has accepted is left." "poc/server/controlling/release.rs",
    QueueIsDiscarded "14.6 step 3" "Who is not invited yet never will be." "poc/server/controlling/release.rs",
    EarlyAnswerIsWithdrawn "14.6 step 5" "The BYE after an early answer ends what is pending." "poc/server/controlling/mod.rs",
    SlotIsFreeAtOnce "14.5" "The slot of a session is free at once." "poc/server/controlling/release.rs",
    UpstreamEndsDownstream "14.5" "The end of the leg upstream ends the one downstream." "poc/server/participating.rs",
    DownstreamEndsUpstream "14.5" "The end of the session downstream ends the one upstream." "poc/server/participating.rs",
    ReasonIsPassedOn "14.9" "The Reason of the CANCEL is passed on." "poc/server/participating.rs",
    OnlyHolderIsHeard "user plane 6.6" "Only who may speak is heard." "poc/talk_burst/controlling/mod.rs",
}

impl Guard {
    /// Whether it is switched off.
    #[cfg(not(talkburst_mutants))]
    #[inline(always)]
    pub const fn is_off(self) -> bool {
        false
    }

    /// Whether it is switched off, in this thread.
    #[cfg(talkburst_mutants)]
    pub fn is_off(self) -> bool {
        OFF.get() == Some(self)
    }

    /// Switches this guard off in this thread, and on the one that was; `None`: all stand.
    #[cfg(talkburst_mutants)]
    pub fn switch_off(guard: Option<Self>) {
        OFF.set(guard);
    }
}

#[cfg(talkburst_mutants)]
thread_local! {
    static OFF: std::cell::Cell<Option<Guard>> = const { std::cell::Cell::new(None) };
}
