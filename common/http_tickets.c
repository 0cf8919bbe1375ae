/* SPDX-License-Identifier: Apache-2.0 */
#include "common/http_tickets.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/crypto.h"
#include "common/lock.h"

/* Of one family: the key of an hour, and of those beside it. */
enum hour { NOW, BEFORE, NEXT, HOURS };

struct family {
	bool has[HOURS];
	struct http_ticket_key keys[HOURS];
	int64_t hour; /* since 1970, of NOW */
};

struct http_tickets {
	http_tickets_shared_f *shared;
	void *arg;
	struct lock lock;
	struct family own, common;
	bool has_secret;
	uint8_t secret[HTTP_TICKET_SECRET]; /* that common is derived from */
};

struct http_tickets *http_tickets_new(http_tickets_shared_f *shared, void *arg)
{
	struct http_tickets *tickets = xnew(struct http_tickets);

	tickets->shared = shared;
	tickets->arg = arg;
	lock_init(&tickets->lock);
	return tickets;
}

void http_tickets_free(struct http_tickets *tickets)
{
	if (!tickets)
		return;
	lock_fini(&tickets->lock);
	free(tickets);
}

/* A random key each hour: nothing leads from one to the others. */
static void turn_own(struct family *own, int64_t hour)
{
	if (own->has[NOW] && own->hour == hour)
		return;
	own->has[BEFORE] = own->has[NOW] && own->hour == hour - 1;
	own->keys[BEFORE] = own->keys[NOW];
	random_bytes(&own->keys[NOW], sizeof(own->keys[NOW]));
	own->has[NOW] = true;
	own->hour = hour;
}

static void derive_part(
	const uint8_t secret[HTTP_TICKET_SECRET], int64_t hour, const char *part, void *into, size_t len)
{
	AUTO_FINI(buf) what = buf_limit(64);
	uint8_t out[32];

	CHECK(len <= sizeof(out));
	buf_format(&what, "ticket of TLS, %s, %lld", part, (long long)hour);
	hmac_sha256(str_from(secret, HTTP_TICKET_SECRET), buf_str(&what), out);
	memcpy(into, out, len);
}

static struct http_ticket_key derive(const uint8_t secret[HTTP_TICKET_SECRET], int64_t hour)
{
	struct http_ticket_key key;

	derive_part(secret, hour, "name", key.name, sizeof(key.name));
	derive_part(secret, hour, "cipher", key.cipher, sizeof(key.cipher));
	derive_part(secret, hour, "mac", key.mac, sizeof(key.mac));
	return key;
}

static void turn_common(struct http_tickets *tickets, int64_t hour, const uint8_t *secret)
{
	static const int of[HOURS] = { [NOW] = 0, [BEFORE] = -1, [NEXT] = 1 };
	struct family *common = &tickets->common;
	bool same =
		secret && tickets->has_secret && equal_secret(secret, tickets->secret, HTTP_TICKET_SECRET);

	if (same && common->hour == hour)
		return;
	tickets->has_secret = secret != NULL;
	if (secret)
		memcpy(tickets->secret, secret, HTTP_TICKET_SECRET);
	common->hour = hour;
	for (enum hour i = 0; i < HOURS; i++) {
		common->has[i] = secret != NULL;
		if (secret)
			common->keys[i] = derive(secret, hour + of[i]);
	}
}

/* Brings both families to this hour, and to the secret of now. */
static void turn_locked(struct http_tickets *tickets, int64_t wall_s, const uint8_t *secret)
{
	lock_assert(&tickets->lock);
	turn_own(&tickets->own, wall_s / HTTP_TICKET_S);
	turn_common(tickets, wall_s / HTTP_TICKET_S, secret);
}

static bool find(const struct family *family, const uint8_t name[HTTP_TICKET_NAME],
	struct http_ticket_key *ret_key, bool *ret_old)
{
	for (enum hour i = 0; i < HOURS; i++) {
		if (!family->has[i] || memcmp(family->keys[i].name, name, HTTP_TICKET_NAME) != 0)
			continue;
		*ret_key = family->keys[i];
		*ret_old = i != NOW;
		return true;
	}
	return false;
}

struct http_ticket_key http_tickets_seal(struct http_tickets *tickets, bool may_share, int64_t wall_s)
{
	uint8_t secret[HTTP_TICKET_SECRET];
	bool has = tickets->shared && tickets->shared(tickets->arg, secret);
	struct http_ticket_key key;

	lock_take(&tickets->lock);
	turn_locked(tickets, wall_s, has ? secret : NULL);
	key = (may_share && has ? &tickets->common : &tickets->own)->keys[NOW];
	lock_drop(&tickets->lock);
	return key;
}

bool http_tickets_open(struct http_tickets *tickets, const uint8_t name[HTTP_TICKET_NAME], int64_t wall_s,
	struct http_ticket_key *ret_key, bool *ret_old)
{
	uint8_t secret[HTTP_TICKET_SECRET];
	bool has = tickets->shared && tickets->shared(tickets->arg, secret), found;

	lock_take(&tickets->lock);
	turn_locked(tickets, wall_s, has ? secret : NULL);
	found = find(&tickets->own, name, ret_key, ret_old) || find(&tickets->common, name, ret_key, ret_old);
	lock_drop(&tickets->lock);
	return found;
}
