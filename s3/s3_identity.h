/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_identity - who we are to AWS: where keys come from when nobody wrote them into the settings of the bucket.
 *
 * The first of these that is set counts, in the order of AWS' own SDKs; if it fails, that is told, and no other is tried:
 *
 *     keys           AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
 *     web identity   AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN                 (EKS: roles of service accounts)
 *     profile        AWS_PROFILE, else "default" where a file has it: keys, a role by keys of another profile, a role by a token
 *     container      AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or ..._FULL_URI        (ECS; EKS pod identity)
 *     metadata       the metadata service of the machine (EC2), version 2 alone, unless AWS_EC2_METADATA_DISABLED
 *
 * What a profile says of sso_..., credential_process and mfa_serial is not served, and an error that says so.
 *
 * Limits  files of 256 KiB, a chain of S3_ROLES_MAX roles.
 * Source  "AWS SDKs and Tools Reference Guide", standardized credential providers.
 * Thread  any that may block: files are read.
 */
#pragma once

#include "s3/s3_loan.h"

enum { S3_STS_REGIONAL, S3_STS_LEGACY };

/* The settings, s3_identity.def. All texts are borrowed, and may be NULL. */
struct s3_identity {
	const char *access_key, *secret_key, *session_token;
	const char *profile, *credentials_file, *config_file, *home;
	const char *token_file, *role, *role_session;
	const char *sts_endpoint;
	int sts_endpoints;         /* S3_STS_... */
	const char *container_path, *container_url, *container_token, *container_token_file;
	bool metadata_off;
	const char *metadata_url;  /* http://169.254.169.254 */
	const char *ca_file;       /* for STS and containers; NULL: the system's */
};

#define S3_ROLES_MAX 4
#define S3_ROLE_MAX  2048

/* Asked for by who has keys already. */
struct s3_role {
	char arn[S3_ROLE_MAX + 1], session[65], external_id[1225];
	unsigned seconds;          /* 0: as long as STS gives */
};

enum s3_source { S3_SOURCE_KEYS, S3_SOURCE_TOKEN, S3_SOURCE_CONTAINER, S3_SOURCE_METADATA };

/* What is to be done for keys: begin with the source, then take one role after the other. */
struct s3_plan {
	enum s3_source source;
	struct s3_loan keys;       /* of S3_SOURCE_KEYS */
	struct s3_role token_role; /* of S3_SOURCE_TOKEN, with: */
	char token_file[1024];
	size_t n;
	struct s3_role roles[S3_ROLES_MAX];
	bool renews;               /* asked again something else may come of it: not keys of the settings */
	char name[256];            /* where it was found: "profile \"dev\"", for the log */
};

/* Reads the files anew each time. ERROR_INVALID: what is written there can't be served. */
bool s3_identity_plan(const struct s3_identity *identity, struct s3_plan *ret, struct error *err) MUST_CHECK;
