/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_put_if - compare-and-swap on a bucket, sure of its outcome though answers get lost.
 *
 *     attempt ---- 200 -------------------------------------> OK
 *        |-------- 412, 409, 404, 5xx, broken: look
 *        |              what is there has our bytes ---------> OK
 *        |              it is still what we expected --------> again; the last time FAILED, unknown
 *        |              else --------------------------------> CONFLICT
 *        |              it can't be seen --------------------> FAILED, unknown
 *        `-------- another 4xx ------------------------------> FAILED
 *
 * A refusal is never believed alone, not that of the first attempt either: libcurl sends a request again on
 * its own when a kept connection is dead, proxies do too, and the second is refused because of the first.
 * What we write is our own by its content: records carry random ids, and for an index.json of the same bytes
 * it is all the same who wrote it. radosgw tells some losers of a race 500.
 *
 * Unknown is ERROR_UNAVAILABLE: a request that got no answer may still be on its way, and take effect later,
 * where the condition holds then.
 */
#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "worker/storage/s3_priv.h"
#include "s3/s3_xml.h"

struct change {
	struct s3_store *s3;
	const char *key;
	struct str bytes;
	const char *expected; /* NULL: whatever; "": nothing */
	char hash[65];
	enum s3_quoting quoting;
	const struct s3_header *more; /* or NULL */
	bool in_doubt;                /* an attempt got no answer that says what became of it */
};

enum verdict { WRITTEN, REFUSED, REJECTED, UNSURE };
enum look { LOOK_OURS, LOOK_UNCHANGED, LOOK_OTHER, LOOK_NOTHING, LOOK_FAILED };

static bool has_if_match(const struct change *change)
{
	return change->expected && change->expected[0];
}

static bool attempt(
	struct change *change, struct s3_call *call, struct http_result *result, struct error *err)
{
	char etag[sizeof(struct store_version) + 2];

	*call = (struct s3_call){
		.method = "PUT",
		.key = change->key,
		.body = change->bytes,
		.body_hash = change->hash,
		.has_body = true,
	};
	if (has_if_match(change)) {
		snprintf(etag, sizeof etag, change->quoting == S3_QUOTED ? "\"%s\"" : "%s", change->expected);
		call->headers[0] = (struct s3_header){ "If-Match", etag };
	} else if (change->expected) {
		call->headers[0] = (struct s3_header){ "If-None-Match", "*" };
	}
	if (change->more)
		call->headers[call->headers[0].name ? 1 : 0] = *change->more;
	bool answered = s3_client_try(&change->s3->client, call, result, err);
	call->headers[0] = call->headers[1] = (struct s3_header){ 0 };
	return answered;
}

static bool bucket_is_missing(const struct http_result *result)
{
	AUTO_FINI(buf) code = buf_limit(128);

	return s3_xml_find(buf_str(&result->body), "Code", &code) && str_is(buf_str(&code), "NoSuchBucket");
}

static enum verdict judge(
	const struct change *change, const struct http_result *result, struct store_version *version)
{
	if (result->status >= 200 && result->status < 300)
		return s3_read_etag(result, version) ? WRITTEN : UNSURE;
	if (s3_client_is_transient(result))
		return UNSURE;
	if (!change->expected)
		return REJECTED;
	if (result->status == 412 || result->status == 409)
		return REFUSED;
	/* What was to be replaced is gone. */
	if (result->status == 404 && has_if_match(change) && !bucket_is_missing(result))
		return REFUSED;
	return REJECTED;
}

static enum look compare(struct change *change, struct store_version *version, struct error *err)
{
	AUTO_FINI(buf) there = buf_limit(change->bytes.len + 1);
	struct store_version found;
	struct error get;

	if (s3_get(&change->s3->store, change->key, &there, &found, &get)) {
		if (!str_equal(buf_str(&there), change->bytes))
			return LOOK_OTHER;
		*version = found;
		return LOOK_OURS;
	}
	if (get.kind == ERROR_UNKNOWN)
		return LOOK_NOTHING;
	if (get.kind == ERROR_TOO_LARGE)
		return LOOK_OTHER;
	if (err)
		*err = get;
	return LOOK_FAILED;
}

/* What we would replace may be large: it is read only if it is as long as ours. */
static enum look look_at_old(struct change *change, struct store_version *version, struct error *err)
{
	struct store_version found;
	struct error head;
	uint64_t len = 0;

	if (!s3_head(change->s3, change->key, &len, &found, &head)) {
		if (head.kind == ERROR_UNKNOWN)
			return LOOK_OTHER;
		if (err)
			*err = head;
		return LOOK_FAILED;
	}
	/* Bytes first: writing what is there already changes nothing, so the ETag may be the old one. */
	if (len == change->bytes.len) {
		enum look step = compare(change, version, err);

		if (step == LOOK_OURS || step == LOOK_FAILED)
			return step;
	}
	return strcmp(found.text, change->expected) == 0 ? LOOK_UNCHANGED : LOOK_OTHER;
}

static enum look look(
	struct change *change, unsigned status, struct store_version *version, struct error *err)
{
	enum look step;

	if (!change->expected)
		return LOOK_UNCHANGED;
	if (has_if_match(change))
		return look_at_old(change, version, err);
	/* One GET of no more than our own length tells. */
	step = compare(change, version, err);
	if (step != LOOK_NOTHING)
		return step;
	/* A 412 says that something was there: perhaps ours, and by now it is removed. */
	return status == 412 ? LOOK_NOTHING : LOOK_UNCHANGED;
}

static void remember_quoting(struct change *change)
{
	if (has_if_match(change))
		atomic_store(&change->s3->quoting, (int)change->quoting);
}

/* What we expected is there, and yet it did not match. */
static void other_quoting(struct change *change)
{
	change->quoting = change->quoting == S3_QUOTED ? S3_UNQUOTED : S3_QUOTED;
}

static bool fail(const struct change *change, const struct s3_call *call, const struct http_result *result,
	bool answered, const struct error *broken, struct error *err)
{
	if (answered)
		return s3_client_error(&change->s3->client, call, result, err);
	(void)error_set(err, ERROR_UNAVAILABLE, NULL, "S3 PUT %s at %s: %s", change->key,
		change->s3->client.endpoint.origin, broken->text);
	return s3_client_hide(err);
}

enum turn { TURN_DONE, TURN_AGAIN };

/* After an attempt that was not plainly a success or an error. *err is filled by now, if it comes to that. */
static enum turn settle(struct change *change, enum verdict verdict, unsigned status, bool last_one,
	enum store_step *ret_step, struct store_version *ret_version, struct error *err)
{
	switch (look(change, status, ret_version, err)) {
	case LOOK_OURS:
		ret_version->asked = true;
		*ret_step = STORE_OK;
		return TURN_DONE;
	case LOOK_OTHER:
		*ret_step = STORE_CONFLICT;
		return TURN_DONE;
	case LOOK_NOTHING:
	case LOOK_FAILED:
		change->in_doubt = true;
		return TURN_DONE;
	case LOOK_UNCHANGED:
		break;
	}
	if (last_one && verdict == REFUSED && !change->in_doubt)
		*ret_step = STORE_CONFLICT;
	if (status == 412)
		other_quoting(change);
	return last_one ? TURN_DONE : TURN_AGAIN;
}

static enum turn take_turn(struct change *change, bool last_one, enum store_step *ret_step,
	struct store_version *ret_version, struct error *err)
{
	AUTO_FINI(http_result) result = { 0 };
	struct s3_call call;
	struct error broken = { 0 };
	bool answered = attempt(change, &call, &result, &broken);
	enum verdict verdict = answered ? judge(change, &result, ret_version) : UNSURE;

	*ret_step = STORE_FAILED;
	change->in_doubt = change->in_doubt || verdict == UNSURE;
	if (verdict == WRITTEN) {
		remember_quoting(change);
		*ret_step = STORE_OK;
		return TURN_DONE;
	}
	(void)fail(change, &call, &result, answered, &broken, err);
	if (verdict == REJECTED || (!answered && !s3_client_is_broken(&broken)))
		return TURN_DONE;
	return settle(change, verdict, answered ? result.status : 0, last_one, ret_step, ret_version, err);
}

static enum store_step make_attempts(struct change *change, struct store_version *version, struct error *err)
{
	const struct s3_client *client = &change->s3->client;
	int64_t start = clock_ms();
	enum store_step step = STORE_FAILED;

	for (unsigned n = 1;; n++) {
		bool last_one = n >= client->attempts || s3_client_should_end(client, false, start);

		if (take_turn(change, last_one, &step, version, err) == TURN_DONE)
			return step;
		s3_client_pause(client, n);
	}
}

enum store_step s3_put_if_with(struct store *store, const char *key, struct str bytes,
	const struct s3_header *more, const struct store_version *expected, struct store_version *ret_version,
	struct error *err)
{
	struct s3_store *s3 = s3_store_of(store);
	struct change change = { .s3 = s3,
		.key = key,
		.bytes = bytes,
		.more = more,
		.expected = expected ? expected->text : NULL };
	struct store_version version = { .text = "" };
	struct error failure = { 0 };
	enum store_step step;
	bool counted;
	uint8_t hash[HASH_MAX];

	if (!s3_outage_enter(&s3->client.outage, clock_ms(), &counted)) {
		(void)s3_client_refuse_away(&s3->client, "PUT", key, err);
		return STORE_FAILED;
	}
	change.quoting = atomic_load(&s3->quoting) == S3_QUOTED ? S3_QUOTED : S3_UNQUOTED;
	hash_bytes(HASH_SHA256, bytes.at, bytes.len, hash);
	str_hex(hash, 32, change.hash);
	step = make_attempts(&change, &version, &failure);
	s3_outage_leave(&s3->client.outage, counted);
	if (step == STORE_OK && ret_version)
		*ret_version = version;
	if (step != STORE_FAILED)
		return step;
	if (change.in_doubt) {
		failure.kind = ERROR_UNAVAILABLE;
		(void)error_add(&failure, "unknown whether it was written");
	}
	if (err)
		*err = failure;
	return step;
}

enum store_step s3_put_if(struct store *store, const char *key, struct str bytes,
	const struct store_version *expected, struct store_version *ret_version, struct error *err)
{
	return s3_put_if_with(store, key, bytes, NULL, expected, ret_version, err);
}
