"""Every `code` an answer may carry: what it means, and what to do. A test holds it against what the program raises.

A line with a code and its meaning, then its remedy, indented; a line with `##` begins a group.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple


class ErrorCode(NamedTuple):
    """One code, explained."""

    code: str
    meaning: str
    remedy: str


_TEXT: Final = """
## Any request
invalid: A field or parameter breaks a rule; `problems` names it.
  Correct what is named and send again.
malformed: The body is not JSON that can be read.
  Check quotes, commas and the encoding, which is UTF-8.
malformed_json: The body, or one event in it, is not JSON.
  Check quotes, commas and the encoding, which is UTF-8.
json_too_deep: The JSON is nested more deeply than is accepted.
  Flatten it.
json_too_many: The JSON has more members or elements than are accepted.
  Split it into several requests.
content_type: The body is not announced as JSON.
  Send `Content-Type: application/json`.
unsupported: The body has a form that this route does not read.
  Use one of the types the detail names.
unsupported_media_type: The body has a type that this route does not read.
  Use one of the types the detail names.
unsupported_encoding: The body is compressed in a way that is not read.
  Use gzip, zstd, or no compression.
bad_encoding: The body is not what its `Content-Encoding` says, or breaks off.
  Compress it again, or send it plain.
text_invalid: A text holds a character that cannot be kept, such as NUL.
  Take it out.
cursor_invalid: The cursor is not one that this list gave.
  Begin again without a cursor.
missing: There is no such thing in this store.
  Check the id and the store; it may have been deleted.
method_not_allowed: The path exists, but not for this method.
  Look the route up on this page.
conflict: This does not go with what is there.
  Read anew what is there and decide again.
stale: Somebody else has changed it since you read it.
  Read it anew and repeat your change on top, with its `ETag`.
mismatch: Each part is right, but they do not go together.
  The detail says which do not.
busy: The very same is being done already.
  Wait as long as `Retry-After` says.
repeated: The same value stands in a list twice.
  Take one away.
refused: The request cannot be granted.
  The detail says why.
too_large: The body, or something in it, is over a limit.
  The detail names the limit; send less at once.
too_slow: The rest of the request did not come in time.
  Send it again; look at the network if it happens often.
too_many: There is a most of these, and it is reached.
  Delete some, or wait as long as `Retry-After` says.
rate_limited: More requests a minute than this person, key, store, route or address may make.
  Wait as long as `Retry-After` says; batch events.
person_needed: Only a person can do this, not an API key.
  Sign in.
idempotency_key_invalid: The `Idempotency-Key` is empty, too long, or not printable.
  Use 1 to 255 printable characters, such as a UUID.
idempotency_key_reused: The key stood for another request before.
  Make a new key for each thing you want done.
idempotency_key_in_use: The request with this key is still being worked on.
  Wait as long as `Retry-After` says and send the same again.
timed_out: No answer was ready in time.
  Send it again; where it was a change, with the same `Idempotency-Key`.
unavailable: Something Recoup depends on does not answer; the detail names it.
  The same call may pass later, after `Retry-After`.
service_unavailable: No instance of the service answers.
  Try again later; the screen System says which processes are down.
circuit_open: The service has failed so often lately that it is left alone for a while.
  Try again in half a minute; the screen System says what is wrong.
trail_unavailable: The change was not made, because it cannot be written into the audit trail.
  Send it again later.
change_unrecorded: The change was made, but could not be written into the audit trail.
  Do not repeat it blindly: read whether it holds.
failure: Something went wrong that the detail names.
  The same call may pass later.
internal: A mistake of ours.
  Report the `trace_id`; it finds what happened in the logs.

## Who you are
unauthenticated: Nobody can be told from this request.
  Send a token or key; see the head of this page.
token_invalid: The access token is none of this installation's, or its key is trusted no more.
  Sign in again.
token_expired: The access token is over.
  Refresh it.
session_ended: The sign-in behind this token was ended.
  Sign in again.
refresh_unknown: The refresh token is not known.
  Sign in again.
refresh_reused: The refresh token was used before, so somebody has a copy; the sign-in has ended.
  Sign in again, and find out who else had it.
login_failed: E-mail or password is wrong.
  Check both; ask for a new password by letter.
login_limited: Too many attempts to sign in.
  Wait as long as `Retry-After` says.
second_factor_required: A code of the authenticator app is needed.
  Send the same again with `code`.
second_factor_wrong: The code is wrong, or was used before.
  Wait for the app's next one, or use a recovery code.
second_factor_exists: A second factor is in force already.
  Give it up first.
password_wrong: The present password is wrong.
  Check it.
password_short: The new password is too short.
  The detail says how long it has to be.
password_common: The new password is among those tried first.
  Choose another.
password_like_email: The new password holds the e-mail address.
  Choose another.
password_weak: The new password breaks one of the rules; `problems` says which.
  Choose another.
password_missing: Somebody without an account needs a password to accept.
  Choose one.
reset_invalid: The link for a new password is over, used, or none of ours.
  Ask for another letter.
invite_invalid: The invitation is over, used, taken back, or none of ours.
  Ask for another.
forbidden: You are known, but may not do this here; the detail names the permission.
  Ask an owner or admin of the store for a role or scope that has it.
last_owner: A store keeps at least one owner.
  Make somebody else an owner first.
role_too_high: Nobody gives or takes a role that may do more than their own.
  Ask somebody with that role.
key_mistyped: The checksum of the API key is wrong.
  Copy the whole key again.
key_invalid: There is no such API key.
  Check which installation it belongs to; make another.
key_revoked: The API key was revoked.
  Make another.
key_expired: The API key's time is over.
  Make another, or rotate it earlier.
key_rotated: The key was rotated already, and can be once.
  Rotate its successor.
scope_invalid: There is no such scope, or not for this kind of key.
  Take one of `GET /api/api-keys/scopes`.
scope_beyond: A key may do no more than who makes it.
  Leave the scope out, or ask somebody who has it.
expiry_invalid: The time is not to come.
  Name a later one.
origin_invalid: This is not the origin of a page.
  Write `https://shop.example`, without a path.
origin_refused: The key does not work on this page.
  Add the page's origin to the key, or to the store's `allowed_origins`.
identity_unproven: The page has not proven who its user is.
  Send `user_hash`; see the guide on identities.

## Events
not_an_array: The body is not a JSON array of events.
  Send an array, NDJSON or Protobuf.
not_a_batch: The body has no list `batch`.
  Follow the Segment HTTP API.
not_an_object: A message is not a JSON object.
  Follow the Segment HTTP API.
malformed_protobuf: The body, or one event in it, is not the Protobuf of events.proto.
  Make your code anew from `/api/events/events.proto`.
malformed_frame: A frame of the socket is not `{id, events: […]}`.
  Send both, and nothing else.
too_many_events: More events in one request than are taken.
  Split the batch; the detail names the most.
too_many_items: More lines of items than a store takes.
  Send the whole cart in fewer lines.
missing_field: A field every event needs is not there.
  Add it.
unknown_field: There is no such field.
  Put your own values into `properties`.
wrong_type: A value has another type than it should.
  The detail names the right one; money is whole minor units.
bad_format: A value cannot be read, such as a time without an offset.
  Write times as RFC 3339, ids as UUID where asked.
out_of_range: A value is too long, too large or too small.
  The detail names the bounds.
bad_currency: The currency is no code of ISO 4217.
  Send three letters, such as USD.
bad_properties: `properties` is no JSON object, too large, or nested too deeply.
  Send a small, flat object.
bad_text: A text holds the character NUL.
  Take it out.
no_visitor: Nobody can be told from the event.
  Send `anonymous_id`, `user_id` or `session_id`.
placeholder_id: An id is a word that scripts write where there is none, such as `undefined`.
  Leave the field out until there is an id.
foreign_store: The event names another store than the key's.
  Leave `store_id` out, or use that store's key.
future_time: The event would have happened in the future.
  Check the clock, or send `sent_at` so that we can.
too_old: The event is older than the store takes.
  Raise `oldest_event_days`, or leave it.
unknown_type: There is no such type of event.
  Take one of the vocabulary, or `custom_event` with a name.
derived_type: Events of this type are found out by us.
  Leave them to us.
wall_clock: Only a store on an event clock can move its clock.
  Set `clock` to `event`, or leave the event out.
conflicting_id: The id belongs to another event already.
  Give each event an id of its own.
schema_violation: The event breaks its registered schema.
  The detail says where.
unplanned_event: Nobody registered a schema for this type, and the store refuses such events.
  Register one, or change `unplanned_events`.
required_missing: The schema asks for a field that is not there.
  Add it, or register a version without it.
type_mismatch: A value has another type than the schema says.
  Correct it, or register another version.
additional_property: The schema knows no such field.
  Leave it out, or register another version.
range: A value is outside of what the schema allows.
  Correct it, or register another version.
combination: None, or more than one, of the schema's alternatives fits.
  The detail names them.
format: A value has not the form the schema asks for.
  Correct it, or register another version.
empty: Nothing is in it.
  Put something in.
event_invalid: The event to try something out on could not have arrived like this.
  Correct what `problems` names.
bad_signature: The webhook is not signed with the secret that is set.
  Set the platform's secret anew.

## Dead letters, parked records, webhooks
letter_changed: The dead letter has changed since.
  Read it anew.
letter_not_open: The dead letter was sent or set aside already.
  Take it up again first.
not_dead: The delivery was not given up.
  Leave it; it is tried again by itself.
already_put_back: The parked record was put back already.
  Nothing has to be done.

## Routing
condition_invalid: The condition of a rule cannot be used; `problems` says why.
  Correct it; `GET /api/routing/fields` names fields and operators.
wrong_operator: The field cannot be compared like this.
  Take one of the operators the detail names.
too_deep: Something is nested, or waits for something, over more steps than allowed.
  Make it flatter.
destination_missing: The rule leads to a destination that does not exist.
  Make the destination first.
destination_in_use: A rule still leads there.
  Change the rule first.
name_taken: Another one has this name.
  Take another name.
wrong_kind: A setting belongs to the other kind of destination.
  Leave it out.
not_a_webhook: Only webhooks are signed.
  Leave the secret.
still_waiting: The delivery still waits to be sent.
  Wait.
url_invalid: The URL cannot be called.
  Write `https://`, a host and a path, without a user name.
address_private: The host is not in public.
  Take a public one, or allow private addresses in the settings.

## Schemas
schema_invalid: The schema cannot be read, or does not hold together.
  The detail says where.
schema_missing: There is no such schema.
  Check its id.
schema_too_large: The schema is longer than is accepted.
  Split it by references.
subject_invalid: This is not a name for a subject.
  Use letters, digits, dots, hyphens and underscores.
subject_missing: There is no such subject.
  Check its name.
subject_deleted: The subject was deleted.
  Register a version to bring it back, or delete it for good.
subject_not_deleted: Only what was deleted can be removed for good.
  Delete it first.
subject_settings_missing: The subject has no compatibility of its own.
  The one for all subjects holds.
subject_mode_missing: The subject has no mode of its own.
  The one for all subjects holds.
version_invalid: A version is a number from 1, or `latest`.
  Correct it.
version_missing: There is no such version.
  List the versions.
version_deleted: The version was deleted already.
  Remove it for good, or leave it.
version_not_deleted: Only what was deleted can be removed for good.
  Delete it first.
incompatible: The schema does not go together with versions that are there; `problems` names each difference.
  Change it, or the subject's compatibility.
compatibility_invalid: There is no such compatibility mode.
  Take one of the seven.
mode_invalid: There is no such mode.
  Take READWRITE or READONLY.
import_refused: Schemas are not imported with ids of other registries.
  Register them in order.
read_only: The subject, or all of the registry, takes no changes.
  Set its mode to READWRITE.
referenced: Another schema refers to this one.
  Remove that one first.
reference_missing: The schema refers to one that is not there.
  Register that one first.
references_too_deep: Schemas refer to each other over too many steps.
  Make it flatter.
too_many_subjects: The store has as many subjects as it may.
  Remove some for good.
too_many_versions: The subject has as many versions as it may.
  Remove some for good.
too_complex: Comparing the two schemas would take too long.
  Make them simpler.
migration_missing: There is no migration from this version.
  Declare one.

## Settings and flags
cannot_be_restored: That version would break a rule of today.
  Change the settings by hand.
caps_out_of_order: More messages an hour than a day, or a day than a week.
  Let the longer time allow at least as many.
clock_in_use: The clock cannot change once events have come.
  Make another store.
unknown_timezone: There is no such time zone.
  Write one of the IANA names, such as Europe/Berlin.
flag_in_use: Another flag waits for this one.
  Change that one first.
flag_not_found: There is no such flag.
  Check its key.
targeting_key_missing: There is nobody to decide the shares by.
  Send a targeting key.
too_many_flags: The store has as many flags as it may.
  Delete some.
flags_too_large: All flags of the store together are too large.
  Shorten lists of values.
mixed_variants: The variants are of several kinds.
  Make all of them truths, texts, numbers or objects.
not_boolean: Recoup asks this flag for true or false.
  Give it such variants.
unknown_variant: The flag has no such variant.
  Take one of its own.
unknown_flag: There is no such flag to wait for.
  Make it first.
variant_in_use: Another flag waits for the variant that is gone.
  Change that one first.
schedule_out_of_order: The flag would end before it starts.
  Exchange the times.
shares_do_not_add_up: The shares are not 100 % together.
  Correct them.
values_not_wanted: The operator compares with nothing.
  Leave `values` out.
values_missing: The operator needs something to compare with.
  Add `values`.
cycle: The flag would wait for itself.
  Take one of the prerequisites away.

## Models and jobs
features_invalid: The features cannot be used; `problems` says which.
  Correct them; `GET /api/features/definitions` explains each.
feature_unknown: There is no such feature.
  Leave it out.
feature_not_finite: A feature is no finite number.
  Send null for what is not known.
feature_not_whole: The feature is a whole number.
  Round it.
feature_out_of_range: The feature is outside of its range.
  The detail names the range.
training_runs: The store's model is being trained already.
  Wait for it.
job_ambiguous: Several services have a job of this name.
  Write `service.job`.
job_not_offered: No service offers this job now.
  Wait until the service is up.

## Starting Recoup
folder_closed: The data folder cannot be used by the engines' account.
  Take one it can enter.
no_engine: An engine's program was not found.
  Install the package whole, or name engines of your own.
no_user: The account for the engines could not be made.
  Make it by hand, or start Recoup as another user than root.
initdb: PostgreSQL could not set its data folder up.
  The detail has its words.
"""


def _groups() -> dict[str, list[ErrorCode]]:
    groups: dict[str, list[ErrorCode]] = {}
    lines = iter(line for line in _TEXT.splitlines() if line)
    for line in lines:
        if line.startswith("## "):
            groups[line[3:]] = []
            continue
        code, _, meaning = line.partition(": ")
        groups[next(reversed(groups))].append(ErrorCode(code, meaning, next(lines).strip()))
    return groups


ERROR_CODES: Final[Mapping[str, Sequence[ErrorCode]]] = _groups()
"""By group."""
