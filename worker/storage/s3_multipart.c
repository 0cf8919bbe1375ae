/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_multipart - big objects by parts, several at a time, from a file or from another object.
 *
 *     create -> parts in batches -> complete        any failure: abort, so that no part stays behind
 *
 * A batch is signed just before it is sent, since a signature lives for 15 minutes. A completion
 * whose answer was lost is looked up: the object has the size then.
 */
#include <errno.h>
#include <inttypes.h>
#include <strings.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/log.h"
#include "worker/storage/s3_priv.h"
#include "s3/s3_xml.h"

#define UPLOAD_ID_MAX    (S3_UPLOAD_ID_ENCODED_MAX / 3)
#define COMPLETE_MAX     (4 * 1024 * 1024)
#define ROUNDS_PER_BATCH 4
#define READ_SIZE        (256 * 1024)

struct upload {
	struct s3_multipart multi;
	uint64_t part_size;
	int fd; /* a file, or: */
	const char *copy_source;
};

uint64_t s3_part_size(uint64_t size, uint64_t least)
{
	uint64_t part = (size + S3_PARTS_MAX - 1) / S3_PARTS_MAX;

	if (part <= least)
		return least;
	return (part + S3_MIB - 1) / S3_MIB * S3_MIB;
}

bool s3_hash_file(int fd, uint64_t offset, uint64_t len, char into[65], struct error *err)
{
	AUTO(hasher) *hasher = hasher_new(HASH_SHA256);
	AUTO_STR *bytes = xnew_array(char, READ_SIZE);
	uint8_t hash[HASH_MAX];

	while (len) {
		ssize_t got = pread(fd, bytes, len < READ_SIZE ? (size_t)len : READ_SIZE, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_sys(err, "read the file to be stored");
		if (!got)
			return error_set(
				err, ERROR_INTERNAL, NULL, "the file to be stored is shorter than it was");
		hasher_add(hasher, bytes, (size_t)got);
		offset += (uint64_t)got;
		len -= (uint64_t)got;
	}
	hasher_result(hasher, hash);
	str_hex(hash, 32, into);
	return true;
}

void s3_multipart_init(
	struct s3_multipart *multi, struct s3_store *s3, const char *key, uint64_t size, uint64_t part_size)
{
	*multi = (struct s3_multipart){
		.s3 = s3,
		.key = key,
		.size = size,
		.n = size ? (unsigned)((size + part_size - 1) / part_size) : 1,
		.id = buf_limit(S3_UPLOAD_ID_ENCODED_MAX),
	};
	multi->parts = xnew_array(struct s3_part, multi->n);
}

void s3_multipart_fini(struct s3_multipart *multi)
{
	buf_fini(&multi->id);
	free(multi->parts);
	*multi = (struct s3_multipart){ 0 };
}

static bool ask_to_create(struct s3_multipart *multi, struct http_result *result, struct error *err)
{
	struct s3_client *client = &multi->s3->client;
	struct s3_call call = { .method = "POST",
		.key = multi->key,
		.query = STR("uploads="),
		.has_body = true,
		.patient = true };

	if (multi->sums) {
		call.headers[0] = (struct s3_header){ "x-amz-checksum-algorithm", "CRC32C" };
		call.headers[1] = (struct s3_header){ "x-amz-checksum-type", "COMPOSITE" };
	}
	return s3_client_send(client, &call, result, err) && s3_client_expect_ok(client, &call, result, err);
}

/* Where it refuses, the reason may be that there is to be a sum. */
static bool create_somehow(struct s3_multipart *multi, struct http_result *result, struct error *err)
{
	struct error refused;

	if (ask_to_create(multi, result, &refused))
		return true;
	if (multi->sums && result->status >= 400 && !s3_client_is_transient(result)) {
		multi->sums = false;
		http_result_fini(result);
		return ask_to_create(multi, result, err);
	}
	if (err)
		*err = refused;
	return false;
}

bool s3_multipart_create(struct s3_multipart *multi, struct error *err)
{
	AUTO_FINI(http_result) result = { 0 };
	AUTO_FINI(buf) id = buf_limit(UPLOAD_ID_MAX);
	const char *algorithm;

	if (!create_somehow(multi, &result, err))
		return false;
	if (!s3_xml_find(buf_str(&result.body), "UploadId", &id) || !id.len)
		return error_set(err, ERROR_INTERNAL, NULL, "S3 POST %s?uploads: answer without an UploadId",
			multi->key);
	/* Who does not say so passes over what it does not know. */
	algorithm = http_headers_find(result.headers, "x-amz-checksum-algorithm");
	multi->sums = multi->sums && algorithm && !strcasecmp(algorithm, "CRC32C");
	buf_url(&multi->id, buf_str(&id), "");
	return buf_check(&multi->id, "UploadId", err);
}

/* ---- parts ---- */

/* One part on its way. Its texts are here because the request borrows them. */
struct part {
	unsigned at; /* from 0 */
	bool done;
	struct s3_call call;
	struct s3_request request;
	char hash[65], range[64];
	char query[S3_UPLOAD_ID_ENCODED_MAX + 64];
};

struct batch {
	size_t n;
	struct part *parts;
	struct http_call_spec *specs;
	struct http_result *results;
	bool *ok;
};

static void batch_fini(struct batch *batch)
{
	free(batch->parts);
	free(batch->specs);
	free(batch->results);
	free(batch->ok);
}

static unsigned parallel_of(const struct upload *upload)
{
	return upload->copy_source ? upload->multi.s3->copy_parallel : upload->multi.s3->parallel;
}

static bool part_prepare(struct upload *upload, struct part *part, struct error *err)
{
	uint64_t offset = part->at * upload->part_size;
	uint64_t len = upload->multi.size - offset < upload->part_size ? upload->multi.size - offset
								       : upload->part_size;
	int query_len = snprintf(part->query, sizeof part->query, "partNumber=%u&uploadId=%s", part->at + 1,
		buf_text(&upload->multi.id));

	part->call = (struct s3_call){
		.method = "PUT",
		.key = upload->multi.key,
		.query = str_from(part->query, (size_t)query_len),
		.has_body = true,
		.patient = true,
	};
	if (upload->copy_source) {
		snprintf(part->range, sizeof part->range, "bytes=%" PRIu64 "-%" PRIu64, offset,
			offset + len - 1);
		part->call.headers[0] = (struct s3_header){ "x-amz-copy-source", upload->copy_source };
		part->call.headers[1] = (struct s3_header){ "x-amz-copy-source-range", part->range };
		part->call.stall_ms = S3_LATE_STALL_MS;
	} else {
		/* The hash is the same in another attempt. */
		if (!part->hash[0] && !s3_hash_file(upload->fd, offset, len, part->hash, err))
			return false;
		part->call.fd = upload->fd;
		part->call.offset = offset;
		part->call.length = len;
		part->call.body_hash = part->hash;
	}
	return s3_client_prepare(&upload->multi.s3->client, &part->call, &part->request, err);
}

/* A copied part's ETag stands in the body, which may be an <Error> just as well. */
static bool read_part_etag(
	const struct upload *upload, const struct http_result *result, struct store_version *ret)
{
	AUTO_FINI(buf) etag = buf_limit(sizeof ret->text + 2);

	if (!upload->copy_source)
		return s3_read_etag(result, ret);
	if (!s3_xml_find(buf_str(&result->body), "ETag", &etag))
		return false;
	struct str s = buf_str(&etag);
	if (s.len >= 2 && str_starts(s, "\"") && str_ends(s, "\""))
		s = str_from(s.at + 1, s.len - 2);
	return s.len && str_copy(s, ret->text, sizeof ret->text);
}

/* False: no other attempt can help. */
static bool judge(
	struct upload *upload, struct part *part, const struct http_result *result, struct error *err)
{
	bool good = result->status >= 200 && result->status < 300;

	if (good && read_part_etag(upload, result, &upload->multi.parts[part->at].etag)) {
		part->done = true;
		return true;
	}
	s3_client_error(&upload->multi.s3->client, &part->call, result, err);
	return good || s3_client_is_transient(result) ||
	       s3_client_has_other_keys(&upload->multi.s3->client, &part->call, &part->request, result);
}

/* Sends what is not done yet. *err is filled whenever something is left. */
static bool send_round(struct upload *upload, struct batch *batch, struct error *err)
{
	struct part *sent[ROUNDS_PER_BATCH * S3_PARALLEL_MAX];
	size_t n = 0;
	bool fine = true;

	for (size_t i = 0; i < batch->n && fine; i++) {
		struct part *part = &batch->parts[i];

		if (part->done)
			continue;
		fine = part_prepare(upload, part, err);
		if (!fine)
			break;
		http_result_init(&batch->results[n], S3_ANSWER_MAX);
		batch->specs[n] = part->request.spec;
		batch->ok[n] = false;
		sent[n++] = part;
	}
	if (fine && !http_send_many(batch->specs, n, parallel_of(upload), batch->results, batch->ok, err))
		fine = s3_client_is_broken(err);
	for (size_t i = 0; i < n; i++) {
		if (batch->ok[i])
			s3_client_heard(&upload->multi.s3->client, &sent[i]->request, &batch->results[i]);
		else
			s3_client_heard_nothing(&upload->multi.s3->client);
		if (fine && batch->ok[i])
			fine = judge(upload, sent[i], &batch->results[i], err);
		http_result_fini(&batch->results[i]);
		s3_request_fini(&sent[i]->request);
	}
	return fine;
}

static bool batch_is_done(const struct batch *batch)
{
	for (size_t i = 0; i < batch->n; i++)
		if (!batch->parts[i].done)
			return false;
	return true;
}

static bool send_batch(struct upload *upload, struct batch *batch, struct error *err)
{
	const struct s3_client *client = &upload->multi.s3->client;
	int64_t start = clock_ms();
	struct error last = { .kind = ERROR_UNAVAILABLE };

	for (unsigned attempt = 1;; attempt++) {
		bool fine = send_round(upload, batch, &last);

		if (batch_is_done(batch))
			return true;
		if (!fine || attempt >= client->attempts ||
			clock_ms() - start >= client->give_up_ms * ROUNDS_PER_BATCH) {
			if (fine)
				last.kind = ERROR_UNAVAILABLE;
			if (err)
				*err = last;
			return error_add(err, "parts of %s", upload->multi.key);
		}
		s3_client_pause(client, attempt);
	}
}

static bool send_parts(struct upload *upload, struct error *err)
{
	size_t room = (size_t)parallel_of(upload) * ROUNDS_PER_BATCH;
	struct batch batch = {
		.parts = xnew_array(struct part, room),
		.specs = xnew_array(struct http_call_spec, room),
		.results = xnew_array(struct http_result, room),
		.ok = xnew_array(bool, room),
	};
	bool fine = true;

	for (unsigned first = 0; first < upload->multi.n && fine; first += (unsigned)batch.n) {
		batch.n = upload->multi.n - first < room ? upload->multi.n - first : room;
		for (unsigned i = 0; i < batch.n; i++) {
			batch.parts[i].at = first + i;
			batch.parts[i].done = false;
			batch.parts[i].hash[0] = '\0';
		}
		fine = send_batch(upload, &batch, err);
	}
	batch_fini(&batch);
	return fine;
}

/* ---- the end ---- */

static bool add_list(const struct s3_multipart *multi, struct buf *into, struct error *err)
{
	buf_puts(into, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (unsigned i = 0; i < multi->n; i++) {
		buf_format(into, "<Part><PartNumber>%u</PartNumber><ETag>&quot;", i + 1);
		s3_xml_escape(into, str_of(multi->parts[i].etag.text));
		buf_puts(into, "&quot;</ETag>");
		if (multi->sums)
			buf_format(into, "<ChecksumCRC32C>%s</ChecksumCRC32C>", multi->parts[i].sum);
		buf_puts(into, "</Part>");
	}
	buf_puts(into, "</CompleteMultipartUpload>");
	return buf_check(into, "list of parts", err);
}

static bool is_complete(const struct s3_multipart *multi)
{
	uint64_t size = 0;

	return s3_head(multi->s3, multi->key, &size, NULL, NULL) && size == multi->size;
}

bool s3_multipart_complete(struct s3_multipart *multi, struct error *err)
{
	struct s3_client *client = &multi->s3->client;
	AUTO_FINI(http_result) result = { 0 };
	AUTO_FINI(buf) list = buf_limit(COMPLETE_MAX);
	AUTO_FINI(buf) query = buf_limit(S3_UPLOAD_ID_ENCODED_MAX + 64);
	struct error failed;

	buf_format(&query, "uploadId=%s", buf_text(&multi->id));
	if (!buf_check(&query, "UploadId", err) || !add_list(multi, &list, err))
		return false;
	struct s3_call call = {
		.method = "POST",
		.key = multi->key,
		.query = buf_str(&query),
		.headers = { { "Content-Type", "application/xml" } },
		.body = buf_str(&list),
		.patient = true,
		.late_error = true,
		.stall_ms = S3_LATE_STALL_MS,
	};
	if ((s3_client_send(client, &call, &result, &failed) &&
		    s3_client_expect_ok(client, &call, &result, &failed)) ||
		is_complete(multi))
		return true;
	if (err)
		*err = failed;
	return false;
}

bool s3_multipart_abort(struct s3_client *client, const char *key, const char *id, struct error *err)
{
	AUTO_FINI(http_result) result = { 0 };
	AUTO_FINI(buf) query = buf_limit(S3_UPLOAD_ID_ENCODED_MAX + 64);

	buf_format(&query, "uploadId=%s", id);
	struct s3_call call = { .method = "DELETE", .key = key, .query = buf_str(&query) };
	return buf_check(&query, "UploadId", err) && s3_client_send(client, &call, &result, err) &&
	       s3_client_expect_ok(client, &call, &result, err);
}

void s3_multipart_give_up(struct s3_multipart *multi)
{
	struct error failed;

	if (!s3_multipart_abort(&multi->s3->client, multi->key, buf_text(&multi->id), &failed))
		log_debug("s3.abort", "key=%s what=%s", multi->key, log_quote(str_of(failed.text)));
}

static void upload_init(
	struct upload *upload, struct s3_store *s3, const char *key, uint64_t size, uint64_t least)
{
	*upload = (struct upload){ .part_size = s3_part_size(size, least) };
	s3_multipart_init(&upload->multi, s3, key, size, upload->part_size);
}

static bool run(struct upload *upload, struct error *err)
{
	if (!s3_multipart_create(&upload->multi, err))
		return false;
	if (send_parts(upload, err) && s3_multipart_complete(&upload->multi, err))
		return true;
	s3_multipart_give_up(&upload->multi);
	return false;
}

bool s3_upload_file(struct s3_store *s3, const char *key, int fd, uint64_t size, struct error *err)
{
	struct upload upload;
	bool fine;

	if (size > S3_PART_MAX * S3_PARTS_MAX)
		return error_set(err, ERROR_TOO_LARGE, NULL, "%s is over what S3 takes", key);
	upload_init(&upload, s3, key, size, s3->part_size);
	upload.fd = fd;
	fine = run(&upload, err);
	s3_multipart_fini(&upload.multi);
	return fine;
}

bool s3_upload_copy(struct s3_store *s3, const char *from, const char *to, uint64_t size, uint64_t part_size,
	struct error *err)
{
	AUTO_FINI(buf) origin = buf_limit(8 * STORE_KEY_MAX);
	struct upload upload;
	bool fine;

	s3_copy_source(s3, from, &origin);
	if (!buf_check(&origin, "source of an S3 copy", err))
		return false;
	upload_init(&upload, s3, to, size, part_size);
	upload.copy_source = buf_text(&origin);
	fine = run(&upload, err);
	s3_multipart_fini(&upload.multi);
	return fine;
}
