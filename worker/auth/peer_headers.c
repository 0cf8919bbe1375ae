/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/auth/peer_headers.h"

#include "common/http_server.h"
#include "proto/peer_token.h"

static const char *const not_sent[] = {
	"Authorization",
	"Host",
	"Content-Length",
	"Expect",
	"X-Forwarded-For",
	PEER_HEADER,
	PEER_RING_HEADER,
	PEER_REFUSED_HEADER,
	PEER_TAKES_HEADER,
	HOP_HEADER,
};
static const char *const not_returned[] = {
	"Content-Length",
	"Date",
	PEER_RING_HEADER,
	PEER_REFUSED_HEADER,
	PEER_ANSWER_HEADER,
};
static const char *const are_signed[] = {
	"Content-Type",
	"Content-Range",
	"Range",
	"If-Range",
	"If-Match",
	"If-None-Match",
};

static bool is_among(const char *name, const char *const *names, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (str_is_nocase(str_of(name), names[i]))
			return true;
	return false;
}

/* "Connection: x-trace, close" makes x-trace a header of this hop. */
static bool is_named(const char *name, const char *connection)
{
	struct str list = str_of(connection), item;

	while (connection && str_next(&list, ',', &item))
		if (str_is_nocase(item, name))
			return true;
	return false;
}

struct copying {
	struct http_headers *into;
	const char *connection;
	bool ok;
};

static void copy_one(void *arg, const char *name, const char *value)
{
	struct copying *copying = arg;

	if (http_header_is_hop(str_of(name)) || is_named(name, copying->connection) ||
		is_among(name, not_sent, sizeof(not_sent) / sizeof(not_sent[0])))
		return;
	copying->ok = http_headers_add(copying->into, str_of(name), str_of(value)) && copying->ok;
}

bool peer_copy_request(const struct http_request *request, struct http_headers *into)
{
	struct copying copying = {
		.into = into, .connection = http_request_header(request, "Connection"), .ok = true
	};

	http_request_each_header(request, copy_one, &copying);
	return copying.ok;
}

/* What is signed. */

struct signing {
	struct buf *into;
	const char *wanted;
};

static void sign_line(void *arg, const char *name, const char *value)
{
	const struct signing *signing = arg;

	if (!str_is_nocase(str_of(name), signing->wanted))
		return;
	buf_puts(signing->into, signing->wanted);
	buf_puts(signing->into, ": ");
	buf_add(signing->into, str_trim(str_of(value)));
	buf_putc(signing->into, '\n');
}

void peer_signed_request(const struct http_request *request, struct buf *into)
{
	for (size_t i = 0; i < sizeof(are_signed) / sizeof(are_signed[0]); i++)
		http_request_each_header(
			request, sign_line, &(struct signing){ .into = into, .wanted = are_signed[i] });
}

void peer_signed_list(const struct http_headers *headers, struct buf *into)
{
	const char *name, *value;

	for (size_t i = 0; i < sizeof(are_signed) / sizeof(are_signed[0]); i++)
		for (size_t at = 0; at < http_headers_len(headers); at++) {
			http_headers_at(headers, at, &name, &value);
			sign_line(&(struct signing){ .into = into, .wanted = are_signed[i] }, name, value);
		}
}

void peer_copy_answer(const struct http_headers *from, struct http_response *into)
{
	const char *connection = http_headers_find(from, "Connection");
	const char *name, *value;

	for (size_t at = 0; at < http_headers_len(from); at++) {
		http_headers_at(from, at, &name, &value);
		if (!http_header_is_hop(str_of(name)) && !is_named(name, connection) &&
			!is_among(name, not_returned, sizeof(not_returned) / sizeof(not_returned[0])))
			http_response_header(into, name, value);
	}
}
