/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_client - one request to S3: signed, sent, tried again where that is safe, its answer judged.
 *
 * The server is not trusted further than its content: answers have a bound in bytes (answer_max) and in time (a few stalls, and
 * what the bytes take at a low rate), no redirect is followed, a Date before 2000 or after 2200 is none.
 *
 * Every 4xx is an answer. 429, 500, 502, 503, 504, S3's own words for "later" and broken connections
 * are tried again, with exponential backoff and full jitter; so only what may be done twice is sent
 * by s3_client_send().
 *
 * A call whose client waits fails after S3_SOON_MS without an answer, and often at once while the store is away (s3_outage.h); one
 * that is `patient` goes on for a minute.
 *
 * Each answer teaches the store's clock (s3_clock.h), which requests are signed with. One that is refused because ours is
 * off is signed once more; so is one whose keys are refused, with others, if there are any (s3_credentials.h). Without
 * keys nothing is sent: ERROR_UNAVAILABLE.
 *
 * libcurl sends a request again on its own when a connection that it kept turns out to be dead, and so may a proxy. So one
 * answer does not mean that it was done once, and a connection that was refused does not mean that nothing was sent.
 *
 * Thread  any that may block, but for s3_client_prepare().
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "common/http_client.h"
#include "s3/s3_clock.h"
#include "s3/s3_credentials.h"
#include "s3/s3_endpoint.h"
#include "s3/s3_outage.h"
#include "s3/s3_sign.h"

#define S3_ANSWER_MAX (64 * 1024)
#define S3_SOON_MS    6000

#define S3_OBJECT_HEADERS 5

struct s3_client {
	struct s3_endpoint endpoint;
	struct s3_endpoint redirect; /* that clients are sent to */
	struct s3_credentials *credentials;
	char *region;
	bool v2;            /* signed by s3_v2.h */
	char *user_agent;   /* or NULL */
	/* Said of each object that is made, up to the first without a name. */
	struct s3_kept { const char *name; char *value, *below; } object[S3_OBJECT_HEADERS];
	char *ca_file;
	bool insecure;
	unsigned attempts; /* at least 1 */
	unsigned backoff_ms, backoff_max_ms;
	unsigned give_up_ms; /* no new attempt so long after the first, where it is patient; else after soon_ms */
	unsigned stall_ms;   /* without a byte, where it is patient; else soon_ms */
	unsigned soon_ms;
	unsigned wait_max_ms; /* the longest pause between two questions whether the store's clock is there yet */
	struct s3_clock clock;
	struct s3_outage outage;
	atomic_uint_least64_t requests;
	atomic_uint_least64_t errors; /* of these: no answer, or one that says "later" */
};
bool s3_client_init(
	struct s3_client *client, const struct s3_settings *settings, struct error *err) MUST_CHECK;
void s3_client_fini(struct s3_client *client);

struct s3_header {
	const char *name, *value;
};
#define S3_CALL_HEADERS 3

/* Everything is borrowed. */
struct s3_call {
	const char *method;
	const char *key;                           /* below the root; NULL: the bucket itself */
	struct str query;                          /* percent-encoded */
	struct s3_header headers[S3_CALL_HEADERS]; /* up to the first without a name */
	struct str body;                           /* or: */
	int fd;                                    /* with length > 0 */
	uint64_t offset, length;
	const char *body_hash; /* hex sha256; NULL: computed from `body` */
	bool has_body;
	bool fresh;        /* see http_call_spec */
	bool patient;      /* it may take long, and be sent again for long */
	bool late_error;   /* a 200 may carry an <Error>: it is then given the status 500 */
	size_t answer_max; /* 0 = S3_ANSWER_MAX */
	unsigned attempts; /* 0 = the client's */
	unsigned stall_ms; /* 0 = as patient as it is */
	int64_t until_s;   /* signed in the URL, and refused by the store from then on, by its own clock; 0: in the headers */
};

/* A call, signed now and good for 15 minutes, or until until_s; counted as sent. Does not wait. */
struct s3_request {
	char *url;
	struct http_headers *headers;
	struct http_call_spec spec;
	int64_t signed_s, signed_ms; /* by the store's clock, and by clock_ms() */
	uint64_t keys; /* their number (struct s3_lent) */
};
bool s3_client_prepare(struct s3_client *client, const struct s3_call *call, struct s3_request *ret,
	struct error *err) MUST_CHECK;
void s3_request_fini(struct s3_request *request);
/* A URL that opens an object to anybody who has it, for so long at most, and no longer than our keys are good; 0 and false
 * where that is less than a second. At the host that clients are sent to. Does not wait. */
bool s3_client_link(struct s3_client *client, const char *key, unsigned seconds, struct buf *into, struct error *err) MUST_CHECK;
/* The Date of an answer; 0: it has none. */
int64_t s3_client_date(const struct http_result *result);
/* For who sends prepared requests himself: this one was answered, learn the clock; or nobody answered it. */
void s3_client_heard(struct s3_client *client, const struct s3_request *request, const struct http_result *result);
void s3_client_heard_nothing(struct s3_client *client);
/* And not even a head came, for this reason, of what was begun then: is the store away? */
void s3_client_was_silent(struct s3_client *client, int64_t begun_ms, const struct error *why);

/* One attempt. True: there is an answer, of whatever status. The caller finishes `result`, which is
 * initialised in any case. */
bool s3_client_try(struct s3_client *client, const struct s3_call *call, struct http_result *result,
	struct error *err) MUST_CHECK;
/* Attempts until there is an answer that is worth having; else ERROR_UNAVAILABLE. */
bool s3_client_send(struct s3_client *client, const struct s3_call *call, struct http_result *result,
	struct error *err) MUST_CHECK;

/* Was it refused for its keys, and are there others now? Waits for these, S3_SOON_MS at most; for who sends prepared requests himself. */
bool s3_client_has_other_keys(struct s3_client *client, const struct s3_call *call, const struct s3_request *request,
	const struct http_result *result);
/* The same for who may not wait, and for other clocks too: this was not answered as it should be. SOON: keys are being asked for, look again.
 * result NULL: nothing was sent, or nothing is new since the last look. Learns from what is new, as s3_client_heard(). */
enum s3_again { S3_AGAIN_NOT, S3_AGAIN_SOON, S3_AGAIN_NOW };
enum s3_again s3_client_again(struct s3_client *client, const struct s3_call *call, const struct s3_request *request,
	const struct http_result *result);
/* May another attempt help? After an answer, and after an error of http_send(). */
bool s3_client_is_transient(const struct http_result *result);
bool s3_client_is_broken(const struct error *err);
/* No new attempt so long after the first, or now: a client waits, and the store is away. */
bool s3_client_should_end(const struct s3_client *client, bool patient, int64_t begun_ms);
/* What was not even sent, since the store is away. Returns false. */
bool s3_client_refuse_away(
	const struct s3_client *client, const char *method, const char *key, struct error *err);
/* Returns false. Buckets, keys and servers, which the text names, are for the log: the client gets the kind's own words. */
bool s3_client_hide(struct error *err);
/* Waits. */
void s3_client_sleep(int64_t ms);
/* Waits before attempt number `attempt` (from 1). */
void s3_client_pause(const struct s3_client *client, unsigned attempt);
/* The error that an answer stands for: kind, S3's code and message, and which setting to look at. */
bool s3_client_error(const struct s3_client *client, const struct s3_call *call,
	const struct http_result *result, struct error *err);
/* True for 2xx, else s3_client_error(). */
bool s3_client_expect_ok(const struct s3_client *client, const struct s3_call *call,
	const struct http_result *result, struct error *err) MUST_CHECK;
