/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_sts - AWS' Security Token Service: keys of a role, for a token or for other keys.
 *
 *     POST https://sts.eu-west-3.amazonaws.com/
 *     AssumeRoleWithWebIdentity   not signed: the token in its body says who asks
 *     AssumeRole                  signed with the keys that we have
 *
 * Source  AWS Security Token Service API Reference, version 2011-06-15.
 * Thread  any that may block.
 */
#pragma once

#include "s3/s3_identity.h"

/* "https://sts.<region>.amazonaws.com", or what the settings say. */
bool s3_sts_endpoint(const struct s3_identity *identity, const char *region, struct buf *into, struct error *err) MUST_CHECK;
/* The token is read anew; at most 16 KiB. */
bool s3_sts_take_token(const struct s3_identity *identity, const char *region, const struct s3_role *role,
		       const char *token_file, struct s3_loan *ret, struct error *err) MUST_CHECK;
bool s3_sts_take_role(const struct s3_identity *identity, const char *region, const struct s3_role *role,
		      const struct s3_loan *with, struct s3_loan *ret, struct error *err) MUST_CHECK;
