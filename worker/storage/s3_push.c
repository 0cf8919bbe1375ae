/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_push - a blob by parts while its bytes come: a multipart upload that is completed only when somebody says so.
 *
 *     begin    HEAD; if it is not there: create
 *     send     one part, from memory, until the store has it and has looked at a sum of it
 *     finish   complete; or, if it was there: HEAD once more, since it may have been deleted meanwhile
 *     give up  abort, when no part is under way any more
 *
 * Which sum the store looks at is found out from what it answers, and kept for the life of the process. Until it is known, parts have both, so
 * that none is sent twice to find it out.
 *
 *     sums     UNSIGNED-PAYLOAD with x-amz-checksum-crc32c. The answer to create names the algorithm, that to each part repeats the sum:
 *              who does neither passes over headers that it does not know, and has looked at nothing.
 *     signs    the sha256 of each part is signed, which every store looks at: a second pass over all bytes. For those that refuse what
 *              is unsigned, or that do not know the sums.
 *
 * A part that was refused unsigned, or accepted without its sum, is sent again signed. No completion is conditional: the key is the
 * digest, so whatever is there is the same.
 */
#include <inttypes.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/log.h"
#include "s3/s3_xml.h"
#include "worker/storage/s3_priv.h"

#define PUSH_MAGIC MAGIC('S', '3', 'P', 'U')
#define PART_MOST  (32 * S3_MIB) /* it is in memory */
#define SUM_BYTES  4

struct s3_push {
	struct store_push push;
	uint32_t magic;
	struct s3_multipart multi;
	char *key;
	int64_t begun_ms;
	struct list living; /* among those of the store */
};

static struct s3_push *own(struct store_push *push)
{
	return OBJ_CAST(s3_push, PUSH_MAGIC, (void *)push);
}

uint64_t s3_push_part(const struct store *store, uint64_t size)
{
	const struct s3_store *s3 = (const struct s3_store *)store;
	uint64_t part = s3_part_size(size, s3->part_size);

	CHECK(store->magic == STORE_MAGIC);
	/* Signatures of version 2 sign no sums. */
	return part <= PART_MOST && !s3->client.v2 ? part : 0;
}

/* The next push may go well; what the store says of our keys, and of what it lost, is no affair of the client's. */
static bool soften(struct error *err)
{
	if (err && err->kind != ERROR_FULL && err->kind != ERROR_TOO_LARGE && err->kind != ERROR_TIMEOUT)
		err->kind = ERROR_UNAVAILABLE;
	return s3_client_hide(err);
}

/* ---- begin and end ---- */

static void live(struct s3_push *push)
{
	struct s3_store *s3 = push->multi.s3;

	lock_take(&s3->lock);
	list_push(&s3->pushes, &push->living);
	lock_drop(&s3->lock);
}

static void live_no_more(struct s3_push *push)
{
	struct s3_store *s3 = push->multi.s3;

	lock_take(&s3->lock);
	list_drop(&push->living);
	lock_drop(&s3->lock);
}

bool s3_push_is_under_way(struct s3_store *s3, const char *key)
{
	bool found = false;

	lock_take(&s3->lock);
	for (LIST_EACH(node, &s3->pushes))
		found |= !strcmp(LIST_OF(struct s3_push, living, node)->key, key);
	lock_drop(&s3->lock);
	return found;
}

static bool begin(struct s3_push *push, uint64_t size, struct error *err)
{
	struct s3_store *s3 = push->multi.s3;
	struct s3_multipart *multi = &push->multi;

	if (!s3_is_there(s3, push->key, size, true, &push->push.is_there, err))
		return false;
	if (push->push.is_there)
		return true;
	multi->sums = !atomic_load(&s3->signs);
	if (!s3_multipart_create(multi, err))
		return soften(err);
	if (!multi->sums && !atomic_exchange(&s3->signs, true))
		log_info("s3.signs", "endpoint=%s what=\"this store looks at no crc32c, parts are signed\"",
			s3->client.endpoint.origin);
	return true;
}

bool s3_push_begin(
	struct store *store, const char *key, uint64_t size, struct store_push **ret, struct error *err)
{
	struct s3_store *s3 = s3_store_of(store);
	uint64_t part_size = s3_push_part(store, size);
	struct s3_push *push = xnew(struct s3_push);

	CHECK(part_size);
	push->magic = PUSH_MAGIC;
	push->push.store = store;
	push->key = check_strdup(key);
	push->begun_ms = clock_ms();
	s3_multipart_init(&push->multi, s3, push->key, size, part_size);
	live(push);
	if (begin(push, size, err)) {
		*ret = &push->push;
		return true;
	}
	s3_push_free(&push->push);
	return false;
}

void s3_push_free(struct store_push *store_push)
{
	struct s3_push *push = own(store_push);

	live_no_more(push);
	push->magic = 0;
	s3_multipart_fini(&push->multi);
	free(push->key);
	free(push);
}

bool s3_push_finish(struct store_push *store_push, struct error *err)
{
	struct s3_push *push = own(store_push);
	bool there = false;

	if (!push->push.is_there)
		return s3_multipart_complete(&push->multi, err) || soften(err);
	if (!s3_is_there(push->multi.s3, push->key, push->multi.size, false, &there, err))
		return false;
	return there || error_set(err, ERROR_UNAVAILABLE, NULL,
				"the blob was deleted while it was pushed; push it again");
}

void s3_push_give_up(struct store_push *store_push)
{
	struct s3_push *push = own(store_push);

	if (push->multi.id.len)
		s3_multipart_give_up(&push->multi);
}

/* ---- one part ---- */

struct sending {
	struct s3_push *push;
	unsigned at;
	struct str bytes;
	char sum[9], query[S3_UPLOAD_ID_ENCODED_MAX + 64];
	char hash[65];  /* "": not hashed yet */
	bool is_signed; /* this attempt */
	bool misses;    /* it was sent unsigned, and the store did not want that or did not look */
};

static void write_sum(uint32_t sum, char into[9])
{
	const uint8_t bytes[SUM_BYTES] = { (uint8_t)(sum >> 24), (uint8_t)(sum >> 16), (uint8_t)(sum >> 8),
		(uint8_t)sum };
	AUTO_FINI(buf) text = buf_limit(16);

	buf_base64(&text, bytes, sizeof bytes);
	CHECK(str_copy(buf_str(&text), into, 9));
}

static struct s3_call call_of(struct sending *sending)
{
	struct s3_push *push = sending->push;
	struct s3_call call = {
		.method = "PUT",
		.key = push->key,
		.query = str_of(sending->query),
		.body = sending->bytes,
		.has_body = true,
		.body_hash = S3_SIGN_NO_BODY_HASH,
		.patient = true,
	};

	if (push->multi.sums)
		call.headers[0] = (struct s3_header){ "x-amz-checksum-crc32c", sending->sum };
	if (!sending->is_signed)
		return call;
	if (!sending->hash[0])
		hash_sha256_hex(sending->bytes, sending->hash);
	call.body_hash = sending->hash;
	return call;
}

enum verdict { DONE, AGAIN, AGAIN_SIGNED, NEVER };

/* The bytes that came are not those that were sent. */
static bool is_damaged(const struct http_result *result)
{
	AUTO_FINI(buf) code = buf_limit(128);

	return result->status == 400 && s3_xml_find(buf_str(&result->body), "Code", &code) &&
	       (str_is(buf_str(&code), "BadDigest") || str_is(buf_str(&code), "XAmzContentSHA256Mismatch") ||
		       str_is(buf_str(&code), "XAmzContentChecksumMismatch") ||
		       str_is(buf_str(&code), "IncompleteBody"));
}

/* Of a signed part, whose sum was there too: does this store look at it? */
static void learn_sums(const struct sending *sending, const char *answered)
{
	struct s3_store *s3 = sending->push->multi.s3;

	if (!sending->push->multi.sums || sending->misses)
		return;
	if (answered && !strcmp(answered, sending->sum))
		atomic_store(&s3->sums, true);
	else if (!atomic_exchange(&s3->signs, true))
		log_info("s3.signs", "endpoint=%s what=\"this store looks at no crc32c, parts are signed\"",
			s3->client.endpoint.origin);
}

static enum verdict judge_done(struct sending *sending, const struct http_result *result, struct error *err)
{
	struct s3_part *part = &sending->push->multi.parts[sending->at];
	const char *sum = http_headers_find(result->headers, "x-amz-checksum-crc32c");

	if (!s3_read_etag(result, &part->etag)) {
		(void)error_set(err, ERROR_UNAVAILABLE, NULL, "S3 PUT %s: answer without a usable ETag",
			sending->push->key);
		return NEVER;
	}
	memcpy(part->sum, sending->sum, sizeof part->sum);
	if (sending->is_signed)
		learn_sums(sending, sum);
	if (sending->is_signed || (sum && !strcmp(sum, sending->sum)))
		return DONE;
	(void)error_set(err, ERROR_UNAVAILABLE, NULL, "S3 PUT %s: the store has %s of this part",
		sending->push->key, sum ? "another sum" : "looked at no sum");
	return sum ? AGAIN : AGAIN_SIGNED;
}

static enum verdict judge(struct sending *sending, const struct s3_call *call,
	const struct http_result *result, struct error *err)
{
	if (result->status >= 200 && result->status < 300)
		return judge_done(sending, result, err);
	(void)s3_client_error(&sending->push->multi.s3->client, call, result, err);
	if (s3_client_is_transient(result) || is_damaged(result))
		return AGAIN;
	return sending->is_signed || result->status == 404 ? NEVER : AGAIN_SIGNED;
}

static enum verdict attempt(struct sending *sending, struct error *err)
{
	struct s3_client *client = &sending->push->multi.s3->client;
	AUTO_FINI(http_result) result = { 0 };
	struct s3_call call = call_of(sending);

	if (s3_client_try(client, &call, &result, err))
		return judge(sending, &call, &result, err);
	return s3_client_is_broken(err) ? AGAIN : NEVER;
}

static bool has_ended(const struct s3_push *push, struct error *err)
{
	if (atomic_load(&push->push.stopped))
		return !error_set(err, ERROR_UNAVAILABLE, NULL, "the push was given up");
	/* Long before somebody takes it for abandoned. */
	if (clock_ms() - push->begun_ms > push->multi.s3->abandoned_ms / 6 * 5)
		return !error_set(err, ERROR_UNAVAILABLE, NULL, "the push took too long");
	return false;
}

/* Only the store itself may say that it wants signatures: by taking one. */
static void learn(const struct sending *sending)
{
	struct s3_store *s3 = sending->push->multi.s3;

	if (sending->misses && !atomic_exchange(&s3->signs, true))
		log_info("s3.signs", "endpoint=%s what=\"this store takes parts only when they are signed\"",
			s3->client.endpoint.origin);
}

static bool send_attempts(struct sending *sending, struct error *err)
{
	const struct s3_client *client = &sending->push->multi.s3->client;
	int64_t begun_ms = clock_ms();

	for (unsigned n = 1;; n++) {
		if (has_ended(sending->push, err))
			return false;
		switch (attempt(sending, err)) {
		case DONE:
			learn(sending);
			return true;
		case AGAIN_SIGNED:
			sending->is_signed = sending->misses = true;
			continue;
		case NEVER:
			return false;
		case AGAIN:
			break;
		}
		if (n >= client->attempts || s3_client_should_end(client, true, begun_ms))
			return false;
		s3_client_pause(client, n);
	}
}

bool s3_push_send(
	struct store_push *store_push, unsigned at, struct str bytes, uint32_t sum, struct error *err)
{
	struct s3_push *push = own(store_push);
	struct sending sending = { .push = push, .at = at, .bytes = bytes };
	struct error failed = { 0 };
	bool ok;

	CHECK(at < push->multi.n && !push->push.is_there);
	write_sum(sum, sending.sum);
	snprintf(sending.query, sizeof sending.query, "partNumber=%u&uploadId=%s", at + 1,
		buf_text(&push->multi.id));
	sending.is_signed = !push->multi.sums || atomic_load(&push->multi.s3->signs) ||
			    !atomic_load(&push->multi.s3->sums);
	ok = send_attempts(&sending, &failed);
	if (!ok && err) {
		*err = failed;
		(void)soften(err);
		(void)error_add(err, "part %u of %s", at + 1, push->key);
	}
	return ok;
}
