/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_token - claims are a row of "<length>:<bytes>": nothing to escape, one way to write each.
 */
#include "proto/peer_token.h"

#include <inttypes.h>

#include "common/check.h"
#include "common/crypto.h"
#include "proto/base64url.h"

#define SIGNATURE_BYTES 32
#define SIGNATURE_LEN   (2 * SIGNATURE_BYTES)
#define CLAIMS_MAX      (PEER_TOKEN_MAX / 4 * 3)
#define SIGNED_MAX      (64u * 1024) /* the request's head, which the server bounds, and the claims */
#define EXPECTED        ((size_t)1024)
#define VERSION         "v2 "
#define FLAG_ADMIN      1u
#define FLAG_ANONYMOUS  2u
#define NO_GROUP        "\001" /* begins what is none */
#define CALL            NO_GROUP "call:"
#define CALL_TEXT_SIZE  (sizeof(CALL) + 2 * PEER_CALL_BYTES + 3 * 21)

/* A token needs some hundred bytes: so it grows once. */
static void expect(struct buf *into)
{
	(void)buf_reserve(into, EXPECTED < into->max - into->len ? EXPECTED : 0);
}

static void put_line(struct buf *into, uint64_t length)
{
	buf_putc(into, ' ');
	buf_decimal(into, length);
	buf_putc(into, '\n');
}

static void put_request(struct buf *into, const struct peer_request *request)
{
	buf_add(into, request->method);
	buf_putc(into, ' ');
	buf_add(into, request->target);
	if (request->length < 0)
		buf_puts(into, " chunked\n");
	else
		put_line(into, (uint64_t)request->length);
	buf_add(into, request->headers);
}

/* False when there is no key or too much to sign. */
static bool sign(
	struct str key, const struct peer_request *request, struct str claims, char into[SIGNATURE_LEN + 1])
{
	AUTO_FINI(buf) message = buf_limit(SIGNED_MAX);
	uint8_t signature[SIGNATURE_BYTES];

	expect(&message);
	put_request(&message, request);
	buf_add(&message, claims);
	if (message.failed || key.len == 0)
		return false;
	hmac_sha256(key, buf_str(&message), signature);
	str_hex(signature, sizeof(signature), into);
	return true;
}

/* Writing. */

static void put_str(struct buf *into, struct str s)
{
	into->failed |= s.len > PEER_NAME_MAX;
	buf_decimal(into, s.len);
	buf_putc(into, ':');
	buf_add(into, s);
}

static void put_text(struct buf *into, const char *text)
{
	put_str(into, str_of(text));
}

static void put_number(struct buf *into, uint64_t number)
{
	char text[STR_DECIMAL];

	put_str(into, str_decimal(number, text));
}

static void put_call(struct buf *into, const struct peer_claims *claims)
{
	const int64_t times[] = { claims->call_sent_ms, claims->call_age_ms, claims->call_issued_ms };
	AUTO_FINI(buf) text = buf_limit(CALL_TEXT_SIZE);
	char id[2 * PEER_CALL_BYTES + 1];

	str_hex(claims->call, PEER_CALL_BYTES, id);
	(void)buf_reserve(&text, CALL_TEXT_SIZE);
	buf_puts(&text, CALL);
	buf_puts(&text, id);
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		into->failed |= times[i] < 0;
		buf_putc(&text, ':');
		buf_decimal(&text, (uint64_t)times[i]);
	}
	put_str(into, buf_str(&text));
}

static void put_hex(struct buf *into, const uint8_t *bytes, size_t len)
{
	char text[2 * PEER_DIGEST_BYTES + 1];

	str_hex(bytes, len, text);
	put_text(into, text);
}

static void put_claims(struct buf *into, const struct peer_claims *claims)
{
	into->failed |= claims->groups_len > PEER_GROUPS_MAX || claims->issued_ms < 0 ||
			claims->sequence > PEER_SEQUENCE_MAX;
	put_text(into, claims->sender);
	put_text(into, claims->receiver);
	put_hex(into, claims->process, PEER_PROCESS_BYTES);
	put_number(into, claims->sequence);
	put_number(into, (uint64_t)claims->issued_ms);
	put_number(into, claims->ring);
	put_text(into, claims->client);
	put_text(into, claims->user);
	put_text(into, claims->apikey);
	put_number(into, (claims->admin ? FLAG_ADMIN : 0) | (claims->anonymous ? FLAG_ANONYMOUS : 0));
	put_hex(into, claims->digest, claims->has_digest ? PEER_DIGEST_BYTES : 0);
	for (size_t i = 0; i < claims->groups_len && !into->failed; i++)
		if (!str_starts(str_of(claims->groups[i]), NO_GROUP))
			put_text(into, claims->groups[i]);
	if (claims->has_call)
		put_call(into, claims);
}

void peer_token_format(struct str key, const struct peer_request *request, const struct peer_claims *claims,
	struct buf *into)
{
	AUTO_FINI(buf) plain = buf_limit(CLAIMS_MAX);
	char text[BASE64URL_LEN(CLAIMS_MAX) + 1];
	char signature[SIGNATURE_LEN + 1];

	expect(&plain);
	put_claims(&plain, claims);
	if (plain.failed) {
		into->failed = true;
		return;
	}
	base64url_encode(buf_str(&plain), text);
	if (!sign(key, request, str_of(text), signature) ||
		strlen(VERSION) + strlen(text) + 1 + SIGNATURE_LEN > PEER_TOKEN_MAX) {
		into->failed = true;
		return;
	}
	expect(into);
	buf_puts(into, VERSION);
	buf_puts(into, text);
	buf_putc(into, ' ');
	buf_puts(into, signature);
}

/* Reading. */

/* Where the terminated copies of a parsed token lie. Each text is shorter than what it was read
 * from ("<length>:" goes, a NUL comes), so the claims' own length is room enough. */
struct memory {
	const char *groups[PEER_GROUPS_MAX];
	size_t used;
	char bytes[];
};

static bool take_text(struct str *claims, struct memory *memory, const char **ret)
{
	uint64_t len;

	if (!str_number(claims, PEER_NAME_MAX, &len) || !str_skip(claims, ":") || claims->len < len)
		return false;
	if (len && memchr(claims->at, '\0', len))
		return false;
	if (len)
		memcpy(memory->bytes + memory->used, claims->at, len);
	*ret = memory->bytes + memory->used;
	memory->used += len + 1;
	*claims = str_from(claims->at + len, claims->len - len);
	return true;
}

static bool take_number(struct str *claims, struct memory *memory, uint64_t max, uint64_t *ret)
{
	const char *text;

	return take_text(claims, memory, &text) && str_to_number(str_of(text), max, ret);
}

static bool take_call(struct str text, struct peer_claims *into)
{
	struct str id;
	uint64_t sent, age, issued;

	if (into->has_call || !str_until(&text, ':', &id) || !str_unhex(id, into->call, PEER_CALL_BYTES) ||
		!str_number(&text, INT64_MAX, &sent) || !str_skip(&text, ":") ||
		!str_number(&text, INT64_MAX, &age) || !str_skip(&text, ":") ||
		!str_to_number(text, INT64_MAX, &issued))
		return false;
	into->has_call = true;
	into->call_sent_ms = (int64_t)sent;
	into->call_age_ms = (int64_t)age;
	into->call_issued_ms = (int64_t)issued;
	return true;
}

/* A group, or something else that stands there. */
static bool take_more(struct str *claims, struct memory *memory, struct peer_claims *into)
{
	const char *text;
	struct str rest;

	if (!take_text(claims, memory, &text))
		return false;
	rest = str_of(text);
	if (str_skip(&rest, CALL))
		return take_call(rest, into);
	if (str_starts(rest, NO_GROUP))
		return true;
	if (into->groups_len == PEER_GROUPS_MAX)
		return false;
	memory->groups[into->groups_len++] = text;
	return true;
}

static bool take_hex(struct str *claims, struct memory *memory, uint8_t *into, size_t len)
{
	const char *text;

	return take_text(claims, memory, &text) && str_unhex(str_of(text), into, len);
}

static bool take_digest(struct str *claims, struct memory *memory, struct peer_claims *into)
{
	if (str_skip(claims, "0:"))
		return true;
	into->has_digest = true;
	return take_hex(claims, memory, into->digest, PEER_DIGEST_BYTES);
}

static bool take_flags(struct str *claims, struct memory *memory, struct peer_claims *into)
{
	uint64_t flags;

	if (!take_number(claims, memory, FLAG_ADMIN | FLAG_ANONYMOUS, &flags))
		return false;
	into->admin = flags & FLAG_ADMIN;
	into->anonymous = flags & FLAG_ANONYMOUS;
	return true;
}

/* Of which token, and between whom. */
static bool take_envelope(struct str *claims, struct memory *memory, struct peer_claims *into)
{
	uint64_t issued;

	if (!take_text(claims, memory, &into->sender) || !take_text(claims, memory, &into->receiver) ||
		!take_hex(claims, memory, into->process, PEER_PROCESS_BYTES) ||
		!take_number(claims, memory, PEER_SEQUENCE_MAX, &into->sequence) ||
		!take_number(claims, memory, INT64_MAX, &issued))
		return false;
	into->issued_ms = (int64_t)issued;
	return true;
}

static bool take_claims(struct str text, struct memory *memory, struct peer_claims *into)
{
	if (!take_envelope(&text, memory, into) || !take_number(&text, memory, UINT64_MAX, &into->ring) ||
		!take_text(&text, memory, &into->client) || !take_text(&text, memory, &into->user) ||
		!take_text(&text, memory, &into->apikey) || !take_flags(&text, memory, into) ||
		!take_digest(&text, memory, into))
		return false;
	while (text.len)
		if (!take_more(&text, memory, into))
			return false;
	into->groups = memory->groups;
	return true;
}

static bool decode(struct str text, struct peer_claims *ret)
{
	char plain[CLAIMS_MAX];
	struct peer_claims claims = { 0 };
	struct memory *memory;
	size_t len;

	if (!base64url_decode(text, plain, sizeof(plain), &len))
		return false;
	memory = check_alloc(1, sizeof(*memory) + len + 1);
	if (!take_claims(str_from(plain, len), memory, &claims)) {
		free(memory);
		return false;
	}
	claims.memory = memory;
	*ret = claims;
	return true;
}

static bool refused(struct error *err, const char *why)
{
	return error_set(err, ERROR_DENIED, "UNAUTHORIZED", "the peer header %s", why);
}

bool peer_token_parse(struct str key, const struct peer_request *request, struct str header,
	struct peer_claims *ret, struct error *err)
{
	struct str text;
	char signature[SIGNATURE_LEN + 1];

	if (header.len > PEER_TOKEN_MAX)
		return refused(err, "is over 8 KiB");
	if (!str_skip(&header, VERSION) || !str_until(&header, ' ', &text) || header.len != SIGNATURE_LEN)
		return refused(err, "is not \"v2 <claims> <signature>\"");
	if (!sign(key, request, text, signature) || !equal_secret(signature, header.at, SIGNATURE_LEN))
		return refused(err, "is not signed with our secret for this request");
	if (!decode(text, ret))
		return refused(err, "has claims that cannot be read");
	return true;
}

void peer_claims_fini(struct peer_claims *claims)
{
	free(claims->memory);
	*claims = (struct peer_claims){ 0 };
}

/* Answers. */

#define ANSWER_VERSION "v1 "
#define ANSWERS        "answer "

/* who: "<name> <process>". */
static bool sign_answer(struct str key, struct str token, struct str who, char into[SIGNATURE_LEN + 1])
{
	AUTO_FINI(buf) message = buf_limit(2 * PEER_ANSWER_MAX);
	uint8_t signature[SIGNATURE_BYTES];

	if (token.len < SIGNATURE_LEN || key.len == 0)
		return false;
	expect(&message);
	buf_puts(&message, ANSWERS);
	buf_add(&message, who);
	buf_putc(&message, ' ');
	buf_append(&message, token.at + token.len - SIGNATURE_LEN, SIGNATURE_LEN);
	if (message.failed)
		return false;
	hmac_sha256(key, buf_str(&message), signature);
	str_hex(signature, sizeof(signature), into);
	return true;
}

void peer_answer_format(struct str key, struct str token, const struct peer_answer *answer, struct buf *into)
{
	AUTO_FINI(buf) who = buf_limit(PEER_ANSWER_MAX);
	char name[BASE64URL_LEN(PEER_NAME_MAX) + 1], process[2 * PEER_PROCESS_BYTES + 1];
	char signature[SIGNATURE_LEN + 1];

	base64url_encode(str_of(answer->name), name);
	str_hex(answer->process, PEER_PROCESS_BYTES, process);
	(void)buf_reserve(&who, PEER_ANSWER_MAX / 2);
	buf_puts(&who, name);
	buf_putc(&who, ' ');
	buf_puts(&who, process);
	if (!sign_answer(key, token, buf_str(&who), signature)) {
		into->failed = true;
		return;
	}
	buf_puts(into, ANSWER_VERSION);
	buf_add(into, buf_str(&who));
	buf_putc(into, ' ');
	buf_puts(into, signature);
}

static bool decode_answer(struct str who, struct peer_answer *ret)
{
	struct peer_answer answer = { 0 };
	struct str name;
	size_t len;

	if (!str_until(&who, ' ', &name) || !base64url_decode(name, answer.name, PEER_NAME_MAX, &len) ||
		memchr(answer.name, '\0', len) || !str_unhex(who, answer.process, PEER_PROCESS_BYTES))
		return false;
	*ret = answer;
	return true;
}

bool peer_answer_parse(struct str key, struct str token, const char *header, struct peer_answer *ret)
{
	struct str who = str_of(header), said;
	char signature[SIGNATURE_LEN + 1];

	if (who.len > PEER_ANSWER_MAX || !str_skip(&who, ANSWER_VERSION) ||
		!str_split_last(who, ' ', &who, &said) || said.len != SIGNATURE_LEN ||
		!sign_answer(key, token, who, signature) || !equal_secret(signature, said.at, SIGNATURE_LEN))
		return false;
	return decode_answer(who, ret);
}

bool peer_answer_is_of(struct str key, struct str token, const char *header, const char *name)
{
	struct peer_answer who;

	return peer_answer_parse(key, token, header, &who) && !strcmp(who.name, name);
}

/* ---- keys ---- */

void peer_key_derive(struct str secret, const char *purpose, uint8_t into[PEER_KEY_BYTES])
{
	AUTO_FINI(buf) info = buf_limit(256);
	uint8_t extracted[32];

	hmac_sha256(STR("zot-cluster"), secret, extracted);
	buf_puts(&info, purpose);
	buf_putc(&info, 1);
	hmac_sha256(str_from(extracted, sizeof(extracted)), buf_str(&info), into);
}
