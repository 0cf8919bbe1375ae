/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_loan - keys that somebody gave us for a time, and how the answers look that they come in.
 *
 *     JSON   the metadata service of EC2, containers of ECS and EKS
 *     XML    STS
 *
 * What time is left is what the answer says of its end, from its own Date: our clock may be wrong.
 *
 * Limits  each text has a bound; what stands in a header is printable ASCII.
 * Source  "Using instance profiles", "Container credential provider", "AssumeRoleWithWebIdentity" of the AWS documentation.
 * Thread  any; pure, but for s3_loan_ask(), which blocks.
 */
#pragma once

#include <stdint.h>

#include "common/http_client.h"

#define S3_ACCESS_KEY_MAX    256
#define S3_SECRET_KEY_MAX    1024
#define S3_SESSION_TOKEN_MAX 8192
#define S3_LOAN_ANSWER_MAX   (64 * 1024)

struct s3_loan {
	char access_key[S3_ACCESS_KEY_MAX + 1], secret_key[S3_SECRET_KEY_MAX + 1];
	char session_token[S3_SESSION_TOKEN_MAX + 1]; /* "": none */
	bool ends;
	int64_t left_ms; /* of one that ends: from when it was heard */
};

/* From texts of ours. ERROR_INVALID says which is wrong, never what it is. */
bool s3_loan_fill(struct s3_loan *loan, struct str access_key, struct str secret_key, struct str session_token,
		  struct error *err) MUST_CHECK;
/* date_s: of the answer. Nothing secret is in the texts of their errors. */
bool s3_loan_parse_json(struct str text, int64_t date_s, struct s3_loan *ret, struct error *err) MUST_CHECK;
bool s3_loan_parse_xml(struct str text, int64_t date_s, struct s3_loan *ret, struct error *err) MUST_CHECK;
/* "2026-11-22T23:00:00Z", also with a fraction. */
bool s3_loan_parse_time(struct str text, int64_t *ret_wall_s) MUST_CHECK;

/* What held something secret; its length stays. */
void s3_loan_wipe(struct buf *buf);

/* One request to who lends keys. True: answered with 200; *ret_date_s is its Date, or our clock. `who` is for the error. */
bool s3_loan_ask(struct http_call_spec *spec, const char *who, struct http_result *result, int64_t *ret_date_s,
		 struct error *err) MUST_CHECK;
