/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_credentials - the keys that requests are signed with now, renewed before they end so that no request waits for it.
 *
 *     given ---------------------------------- a third of their time is left, at most 15 minutes: ask for others
 *           |<------------- good -------------------------------|  answered  -> those count from now on
 *                                                               |  not       -> again and again; ours are good until they end
 *                                                               `--- ended: none, each request fails with why (503)
 *
 * Keys of the settings are there at once and for ever, without a thread. Others are asked for when somebody first needs
 * them; from then on a thread of this does that. One request at a time is asked for all, however many wait.
 *
 * A store that refuses keys (revoked, ended by its clock) is believed: others are asked for at once, but not twice within
 * S3_CREDENTIALS_PAUSE_MS.
 *
 * Thread  any; s3_credentials_now() and s3_credentials_others() do not wait, the others may.
 * Log     s3.credentials when there are others than before, and when there are none in time. Never a key but for the access key's id.
 */
#pragma once

#include "s3/s3_identity.h"

#define S3_CREDENTIALS_PAUSE_MS 5000

struct s3_credentials;

/* What was given at one time; immutable, counted. */
struct s3_lent {
	unsigned refs;   /* under the lock of the credentials */
	uint64_t number; /* from 1 */
	int64_t ends_ms; /* clock_ms(); INT64_MAX: never */
	struct s3_loan loan;
};

/* The identity's texts are copied; where it has keys, they are it. ERROR_INVALID: what it says can't be served. Nobody is asked. */
bool s3_credentials_new(struct s3_credentials **ret, const struct s3_identity *identity, const char *region,
			struct error *err) MUST_CHECK;
void s3_credentials_free(struct s3_credentials *credentials); /* waits for a request under way, 5 s a step at most */
AUTO_DEFINE(s3_credentials)

/* Good now, or NULL with ERROR_UNAVAILABLE and why. To be dropped. */
const struct s3_lent *s3_credentials_now(struct s3_credentials *credentials, struct error *err) MUST_CHECK;
void s3_credentials_drop(struct s3_credentials *credentials, const struct s3_lent *lent);
/* Where there are none, and they are being asked for: waits for the answer, so long at most. */
void s3_credentials_await(struct s3_credentials *credentials, int64_t ms);
bool s3_credentials_are_good(struct s3_credentials *credentials);
/* The store refuses those of this number. True: there are others now. Waits as above; never for keys of the settings. */
bool s3_credentials_refused(struct s3_credentials *credentials, uint64_t number, int64_t ms);
/* Are there others than those of this number (0: than none)? Does not wait. ASKED_FOR: there may be soon, look again. `refused`: by the store. */
enum s3_others { S3_OTHERS_NONE, S3_OTHERS_ASKED_FOR, S3_OTHERS_THERE };
enum s3_others s3_credentials_others(struct s3_credentials *credentials, uint64_t number, bool refused);
/* Where they are from, for people: "profile \"dev\"". */
const char *s3_credentials_source(const struct s3_credentials *credentials);
