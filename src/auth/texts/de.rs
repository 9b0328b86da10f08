//! German, with the formal "Sie".

use super::{Access, Gap, Notice, Texts, Verb, Whose, list, look_up};
use crate::auth::error::PageError;
use crate::auth::federation::Failed;
use crate::auth::user_grant::Reach;

pub(super) static TEXTS: Texts = Texts {
    tag: "de",

    error: "Fehler",
    log_in: "Anmelden",
    log_in_with: |provider| format!("Anmelden mit {}", provider.unwrap_or("dem Konto Ihrer Organisation")),
    username: "Benutzername",
    password: "Passwort",
    logged_in_as: |name| format!("Angemeldet als {name}"),
    go_on: "Weiter",
    cancel: "Abbrechen",
    questions: "Fragen?",
    app_on_this_device: |scheme| format!("App auf diesem Gerät, {scheme}"),
    notice,
    visit: |id| format!("Besuch {id}"),

    page_error,
    help_number: |number| format!("Wenn Sie um Hilfe bitten, nennen Sie bitte diese Nummer: {number}"),

    to_continue: Gap("um mit", "fortzufahren"),
    password_is_private: |app| format!("{app} erfährt Ihr Passwort nicht."),
    you_decide: "Was die App darf, entscheiden Sie anschließend.",

    choose_patient: "Patientin oder Patienten auswählen",
    asks_for_patient: Gap("", "bittet um die Daten einer Patientin oder eines Patienten."),
    name: "Name",
    birth_date: "Geburtsdatum",
    identifier: "Kennung, zum Beispiel die Patientennummer",
    search: "Suchen",
    no_patient_fits: "Zu diesen Angaben wurde niemand gefunden.",
    no_record: "Es gibt keine Akte, die Sie auswählen könnten.",
    try_again: "Erneut versuchen",
    patients_found: "Gefundene Patientinnen und Patienten",
    patients: "Patientinnen und Patienten",
    born: |date| format!("geb. {date}"),
    gender: |code| look_up(&GENDERS, code).unwrap_or(code),
    record: |id| format!("Akte {id}"),

    choose_visit: "Besuch auswählen",
    asks_for_visit: Gap("", "möchte wissen, um welchen Besuch es geht."),
    no_visit: "Es gibt keinen Besuch, den Sie auswählen könnten.",
    latest_visits: "Die letzten Besuche",
    without_visit: "Ohne Besuch fortfahren",
    some_visit: "Besuch",
    visit_status: |code| look_up(&VISIT_STATUS, code).unwrap_or(code),

    allow_access: "Zugriff erlauben?",
    allow_app: |app| format!("Zugriff für {app} erlauben?"),
    unchecked_app: UNCHECKED_APP,
    whose_data: "Wessen Daten",
    patient: |id| format!("Akte {id}"),
    app_may: |app| format!("{app} darf dann"),
    untick: "Entfernen Sie das Häkchen bei allem, was Sie nicht erlauben möchten.",
    ends,
    back_to: |place| format!("In beiden Fällen kehren Sie zurück zu: {place}."),
    allow: "Erlauben",
    deny: "Nicht erlauben",

    openid: "Ihren Benutzernamen erfahren",
    fhir_user: "Erfahren, welche Akte hier Ihre eigene ist",
    offline_access: "Diesen Zugriff auch in Ihrer Abwesenheit weiter nutzen",
    online_access: "Diesen Zugriff nach Ihrer Anmeldung eine Zeit lang weiter nutzen",
    launch: "Erfahren, von wo aus sie geöffnet wurde und wessen Akte dort angezeigt war",
    launch_patient: "Erfahren, wessen Akte ausgewählt wurde",
    launch_encounter: "Erfahren, welcher Besuch ausgewählt wurde",
    access,
    other_scope: |scope| format!("„{scope}“ nutzen"),

    your_apps: "Ihre Apps",
    log_in_to_manage: "Melden Sie sich an, um zu sehen, welche Apps über Ihr Konto Zugriff haben, und um ihn zu beenden.",
    logged_out: "Sie sind abgemeldet.",
    access_ended: "Der Zugriff wurde beendet.",
    no_lasting_access: "Keine App hat über Ihr Konto dauerhaften Zugriff.",
    patient_record: |id| format!("Akte {id}"),
    given_and_used: |given, used| format!("erlaubt am {given} · zuletzt genutzt am {used}"),
    ends_on: |date| format!("Der Zugriff endet am {date} von selbst, wenn die App ihn bis dahin nicht nutzt."),
    end_access: "Zugriff beenden",
    end_access_of: |app| format!("Zugriff beenden: {app}"),
    short_access: |time| {
        format!("Eine App ohne dauerhaften Zugriff behält ihn höchstens {time} lang; sie ist hier nicht aufgeführt.")
    },
    log_out: "Abmelden",

    units: [("Tag", "Tage"), ("Stunde", "Stunden"), ("Minute", "Minuten")],
    and: "und",
    dates: ["%Y", "%m/%Y", "%d.%m.%Y", "%d.%m.%Y, %H:%M Uhr"],
};

const UNCHECKED_APP: &str = "Diese App hat sich selbst registriert. Den Namen hat sie selbst angegeben; wer sie herstellt, wurde \
                             hier nicht geprüft.";

fn notice(notice: &Notice) -> &'static str {
    match notice {
        Notice::LoginFailed => {
            "Benutzername und Passwort passen nicht zusammen, oder es gab zu viele Versuche. Prüfen Sie bitte beides und \
             versuchen Sie es erneut."
        }
        Notice::LoginBusy => {
            "Im Moment melden sich sehr viele Personen an. Bitte warten Sie kurz und versuchen Sie es erneut."
        }
        Notice::Provider(Failed::Unavailable) => {
            "Die Anmeldung kann im Moment nicht abgeschlossen werden. Bitte versuchen Sie es in Kürze erneut."
        }
        Notice::Provider(Failed::Refused | Failed::Page) => {
            "Die Anmeldung dort ist nicht gelungen oder wurde abgebrochen. Sie können es erneut versuchen."
        }
        Notice::Provider(Failed::Answer) => {
            "Die Antwort auf die Anmeldung konnte nicht angenommen werden. Bitte versuchen Sie es erneut."
        }
        Notice::Provider(Failed::Nobody) => {
            "Sie sind dort angemeldet, aber zu Ihrem Konto gehört hier keine Akte. Bitte wenden Sie sich an die Betreiber \
             dieses Dienstes."
        }
        Notice::PatientsUnreachable => {
            "Die Patientenakten sind im Moment nicht erreichbar. Bitte versuchen Sie es in Kürze erneut."
        }
        Notice::PatientNotChosen => "Bitte wählen Sie eine der angezeigten Personen aus.",
        Notice::NothingToSearch => "Bitte geben Sie einen Namen, ein Geburtsdatum oder eine Kennung ein.",
        Notice::BirthDate => {
            "Bitte geben Sie das Geburtsdatum in der Form Jahr-Monat-Tag ein, zum Beispiel 1987-02-20."
        }
        Notice::VisitsUnreachable => {
            "Die Besuche können im Moment nicht gelesen werden. Bitte laden Sie die Seite in Kürze neu oder fahren Sie ohne \
             Besuch fort."
        }
        Notice::VisitNotChosen => {
            "Bitte wählen Sie einen der angezeigten Besuche aus oder fahren Sie ohne Besuch fort."
        }
    }
}

fn page_error(error: PageError) -> (&'static str, &'static str) {
    match error {
        PageError::Parameters => (
            "Dieser Link funktioniert nicht",
            "Die App hat Sie mit einer Anfrage hierher geschickt, die fehlerhaft ist oder etwas doppelt angibt. Nur die \
             Hersteller der App können das beheben.",
        ),
        PageError::Client => (
            "Diese App ist hier nicht bekannt",
            "Die App, die Sie hierher geschickt hat, ist bei diesem Server nicht oder nicht mehr registriert. Es wurden keine \
             Daten an sie weitergegeben.",
        ),
        PageError::RedirectUri => (
            "Dieser App kann nicht vertraut werden",
            "Die App wollte Ihren Zugriff an eine Adresse senden lassen, die für sie nicht registriert ist. Es wurden keine \
             Daten weitergegeben. Wenn Sie diese App entwickeln: `redirect_uri` muss genau so lauten wie registriert.",
        ),
        PageError::Gone => (
            "Diese Seite ist nicht mehr gültig",
            "Sie wurde bereits verwendet, es ist zu viel Zeit vergangen, oder Ihr Browser nimmt von diesem Server keine \
             Cookies an. Bitte kehren Sie zur App zurück und beginnen Sie von vorn.",
        ),
        PageError::Unavailable => (
            "Im Moment nicht verfügbar",
            "Der Server kann gerade nicht fortfahren. Bitte warten Sie kurz und laden Sie diese Seite neu.",
        ),
    }
}

fn ends(reach: Reach, after: &str) -> String {
    match reach {
        Reach::Once => format!("Der Zugriff gilt {after} lang und endet dann von selbst."),
        Reach::Online => format!(
            "Der Zugriff besteht weiter, ohne dass Sie erneut gefragt werden, und endet von selbst {after} nach Ihrer \
             Anmeldung."
        ),
        Reach::Offline => format!(
            "Der Zugriff besteht auch in Ihrer Abwesenheit weiter, ohne dass Sie erneut gefragt werden. Er endet von selbst, \
             sobald die App ihn {after} lang nicht genutzt hat."
        ),
    }
}

/// "Besuche der Patientin oder des Patienten ansehen und ändern, aber nur solche mit Status „finished“".
fn access(access: &Access<'_>) -> String {
    let verbs: Vec<&str> = access.verbs.iter().map(|verb| self::verb(*verb)).collect();
    let verbs = list(&verbs, "und");
    let only = access.only.iter().map(|(code, values)| {
        let values: Vec<String> = values.iter().map(|value| format!("„{value}“")).collect();
        format!("{} {}", look_up(&LIMITS, code).unwrap_or(code), values.join(" oder "))
    });
    let only = match only.collect::<Vec<_>>().as_slice() {
        [] => String::new(),
        only => format!(", aber nur solche mit {}", only.join(" und mit ")),
    };
    let all = "auch künftig hinzukommende Arten von Daten";
    match (access.of, access.whose) {
        (None, Whose::Reader) => format!("Alle Daten Ihrer Akte, {all}, {verbs}{only}"),
        (None, Whose::Patient) => format!("Alle Daten der Patientin oder des Patienten, {all}, {verbs}{only}"),
        (None, _) => {
            format!(
                "Alle Daten aller Patientinnen und Patienten, auf deren Daten Sie Zugriff haben, {all}, {verbs}{only}"
            )
        }
        (Some(of), Whose::Reader) => format!("Ihre {} {verbs}{only}", kind(of)),
        (Some(of), Whose::Patient) => format!("{} der Patientin oder des Patienten {verbs}{only}", kind(of)),
        (Some(of), Whose::AllPatients) => {
            format!("{} aller Patientinnen und Patienten, auf deren Daten Sie Zugriff haben, {verbs}{only}", kind(of))
        }
        (Some(of), Whose::Nobody) => {
            format!("{} (die sich nicht auf einzelne Patientinnen oder Patienten beziehen) {verbs}{only}", kind(of))
        }
    }
}

fn verb(verb: Verb) -> &'static str {
    match verb {
        Verb::See => "ansehen",
        Verb::SearchFor => "durchsuchen",
        Verb::Add => "hinzufügen",
        Verb::Change => "ändern",
        Verb::Delete => "löschen",
    }
}

fn kind(of: &str) -> String {
    look_up(&KINDS, of).map_or_else(|| format!("Einträge der Art „{of}“"), str::to_owned)
}

/// What a person calls the data of the types that apps ask for most; each fits after "Ihre" and without an article.
pub(super) const KINDS: [(&str, &str); 25] = [
    ("AllergyIntolerance", "Allergien und Unverträglichkeiten"),
    ("Appointment", "Termine"),
    ("CarePlan", "Behandlungspläne"),
    ("CareTeam", "Behandlungsteams"),
    ("Communication", "Nachrichten"),
    ("Condition", "Erkrankungen und Diagnosen"),
    ("Coverage", "Angaben zur Krankenversicherung"),
    ("Device", "Medizinprodukte"),
    ("DiagnosticReport", "Befundberichte"),
    ("DocumentReference", "Dokumente"),
    ("Encounter", "Besuche"),
    ("ExplanationOfBenefit", "Abrechnungen mit der Krankenversicherung"),
    ("FamilyMemberHistory", "Angaben zu Erkrankungen in der Familie"),
    ("Goal", "Gesundheitsziele"),
    ("Immunization", "Impfungen"),
    ("MedicationAdministration", "Medikamentengaben durch das Personal"),
    ("MedicationDispense", "Medikamentenabgaben durch Apotheken"),
    ("MedicationRequest", "Verordnungen von Medikamenten"),
    ("MedicationStatement", "Angaben zu eingenommenen Medikamenten"),
    ("Observation", "Messwerte und Beobachtungen (Laborwerte, Vitalwerte und andere)"),
    ("Patient", "Angaben zur Person (Name, Geburtsdatum, Anschrift und Ähnliches)"),
    ("Procedure", "Eingriffe und Operationen"),
    ("QuestionnaireResponse", "Antworten auf Fragebögen"),
    ("RelatedPerson", "Kontaktpersonen (Angehörige und andere)"),
    ("ServiceRequest", "Aufträge und Überweisungen"),
];

/// Search parameters that scopes are limited by.
const LIMITS: [(&str, &str); 7] = [
    ("category", "Kategorie"),
    ("clinical-status", "klinischem Status"),
    ("code", "Code"),
    ("intent", "Absicht"),
    ("status", "Status"),
    ("type", "Art"),
    ("_security", "Sicherheitskennzeichen"),
];

/// FHIR R4 valueset-administrative-gender.html.
const GENDERS: [(&str, &str); 4] =
    [("male", "männlich"), ("female", "weiblich"), ("other", "divers"), ("unknown", "Geschlecht unbekannt")];

/// Those of FHIR R4 to R5.
const VISIT_STATUS: [(&str, &str); 13] = [
    ("planned", "geplant"),
    ("arrived", "eingetroffen"),
    ("triaged", "ersteingeschätzt"),
    ("in-progress", "laufend"),
    ("onleave", "beurlaubt"),
    ("on-hold", "unterbrochen"),
    ("discharged", "entlassen"),
    ("finished", "beendet"),
    ("completed", "abgeschlossen"),
    ("cancelled", "abgesagt"),
    ("discontinued", "abgebrochen"),
    ("entered-in-error", "irrtümlich erfasst"),
    ("unknown", "Status unbekannt"),
];
