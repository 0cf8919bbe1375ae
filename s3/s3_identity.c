/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_identity.h"

#include "common/file.h"
#include "s3/s3_ini.h"

#define FILE_MAX (256 * 1024)

/* Both files, read once for a plan. An absent one is empty. */
struct files {
	struct buf credentials, config;
	const char *names; /* for what is said */
};

static void files_fini(struct files *files)
{
	s3_loan_wipe(&files->credentials);
	buf_fini(&files->credentials);
	buf_fini(&files->config);
}

static bool set(const char *text)
{
	return text && *text;
}

static bool read_one(
	const char *path, const char *home, const char *below, struct buf *into, struct error *err)
{
	AUTO_FINI(buf) name = buf_limit(4096);
	struct error absent;

	if (!set(path) && !set(home))
		return true;
	if (set(path))
		buf_puts(&name, path);
	else
		buf_format(&name, "%s/.aws/%s", home, below);
	if (!buf_check(&name, "path of a file of AWS", err))
		return false;
	if (file_read(buf_text(&name), into, &absent))
		return true;
	buf_clear(into);
	/* One in the home that nobody asked for may be another user's. */
	if (!set(path))
		return true;
	if (err)
		*err = absent;
	return error_add(err, "%s",
		str_is(str_of(below), "config") ? "AWS_CONFIG_FILE" : "AWS_SHARED_CREDENTIALS_FILE");
}

static bool files_read(const struct s3_identity *identity, struct files *files, struct error *err)
{
	return read_one(
		       identity->credentials_file, identity->home, "credentials", &files->credentials, err) &&
	       read_one(identity->config_file, identity->home, "config", &files->config, err);
}

static void config_section(struct str profile, struct buf *into)
{
	if (!str_is(profile, "default"))
		buf_puts(into, "profile ");
	buf_add(into, profile);
}

/* In either file; credentials come first. */
static bool find(const struct files *files, struct str profile, const char *key, struct str *ret)
{
	AUTO_FINI(buf) section = buf_limit(512);

	if (s3_ini_find(buf_str(&files->credentials), profile, key, ret) && ret->len)
		return true;
	config_section(profile, &section);
	return !section.failed && s3_ini_find(buf_str(&files->config), buf_str(&section), key, ret) &&
	       ret->len;
}

static bool has(const struct files *files, struct str profile)
{
	AUTO_FINI(buf) section = buf_limit(512);

	config_section(profile, &section);
	return s3_ini_has(buf_str(&files->credentials), profile) ||
	       (!section.failed && s3_ini_has(buf_str(&files->config), buf_str(&section)));
}

/* ---- roles ---- */

static bool session_is_sane(struct str name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.at[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			    strchr("+=,.@-_", c)))
			return false;
	}
	return name.len >= 2;
}

static bool fill_role(struct s3_role *role, struct str arn, struct str session, struct error *err)
{
	*role = (struct s3_role){ .seconds = 0 };
	if (!str_starts(arn, "arn:") || !str_copy(arn, role->arn, sizeof role->arn))
		return error_set(err, ERROR_INVALID, NULL,
			"the role \"%.*s\" is no ARN (arn:aws:iam::123456789012:role/NAME)",
			(int)(arn.len < 80 ? arn.len : 80), arn.at);
	if (!session_is_sane(session) || !str_copy(session, role->session, sizeof role->session))
		return error_set(err, ERROR_INVALID, NULL,
			"the name of a role's session needs 2 to 64 letters, digits and +=,.@-_");
	return true;
}

static bool fill_profile_role(const struct files *files, struct str profile,
	const struct s3_identity *identity, struct str arn, struct s3_role *role, struct error *err)
{
	struct str session = str_of(set(identity->role_session) ? identity->role_session : "zot");
	struct str text;
	uint64_t seconds;

	if (find(files, profile, "role_session_name", &text))
		session = text;
	if (!fill_role(role, arn, session, err))
		return false;
	if (find(files, profile, "external_id", &text) &&
		!str_copy(text, role->external_id, sizeof role->external_id))
		return error_set(err, ERROR_INVALID, NULL, "external_id is over 1224 bytes");
	if (find(files, profile, "duration_seconds", &text)) {
		if (!str_to_number(text, 43200, &seconds) || seconds < 900)
			return error_set(err, ERROR_INVALID, NULL, "duration_seconds must be 900 to 43200");
		role->seconds = (unsigned)seconds;
	}
	return true;
}

/* ---- a profile ---- */

static bool refuse_unserved(const struct files *files, struct str profile, struct error *err)
{
	static const char *const keys[] = { "sso_session", "sso_start_url", "sso_account_id",
		"credential_process", "mfa_serial" };
	struct str value;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (find(files, profile, keys[i], &value))
			return error_set(err, ERROR_INVALID, NULL,
				"%s is not served: give keys, a role with source_profile, or a role with "
				"web_identity_token_file",
				keys[i]);
	return true;
}

static bool take_token(struct s3_plan *plan, struct str file, struct error *err)
{
	plan->source = S3_SOURCE_TOKEN;
	return str_copy(file, plan->token_file, sizeof plan->token_file) ||
	       error_set(err, ERROR_INVALID, NULL, "the path of the token is over %zu bytes",
		       sizeof plan->token_file - 1);
}

static bool take_environment(const struct s3_identity *identity, struct s3_plan *plan, struct error *err)
{
	plan->source = S3_SOURCE_KEYS;
	return s3_loan_fill(&plan->keys, str_of(identity->access_key), str_of(identity->secret_key),
		       str_of(identity->session_token), err) ||
	       error_add(err, "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN");
}

static bool take_named_source(
	const struct s3_identity *identity, struct str name, struct s3_plan *plan, struct error *err)
{
	if (str_is(name, "Environment"))
		return take_environment(identity, plan, err);
	if (str_is(name, "EcsContainer"))
		plan->source = S3_SOURCE_CONTAINER;
	else if (str_is(name, "Ec2InstanceMetadata"))
		plan->source = S3_SOURCE_METADATA;
	else
		return error_set(err, ERROR_INVALID, NULL,
			"credential_source must be Environment, EcsContainer or Ec2InstanceMetadata");
	return true;
}

static bool take_keys(const struct files *files, struct str profile, struct s3_plan *plan, struct error *err)
{
	struct str access = STR_NONE, secret = STR_NONE, token = STR_NONE;

	if (!find(files, profile, "aws_access_key_id", &access))
		return error_set(err, ERROR_INVALID, NULL,
			"has neither aws_access_key_id nor a role with source_profile, credential_source or "
			"web_identity_token_file");
	(void)find(files, profile, "aws_secret_access_key", &secret);
	(void)find(files, profile, "aws_session_token", &token);
	plan->source = S3_SOURCE_KEYS;
	return s3_loan_fill(&plan->keys, access, secret, token, err);
}

/* Where the profile's role begins: *ret_next is the profile that is to be looked at for it, if any. */
static bool take_role(const struct s3_identity *identity, const struct files *files, struct str profile,
	struct str arn, struct s3_plan *plan, struct str *ret_next, struct error *err)
{
	struct s3_role *role = &plan->roles[plan->n];
	struct str text;

	if (plan->n == S3_ROLES_MAX)
		return error_set(err, ERROR_INVALID, NULL,
			"source_profile leads over more than %d roles, or in a circle", S3_ROLES_MAX);
	if (!fill_profile_role(files, profile, identity, arn, role, err))
		return false;
	if (find(files, profile, "web_identity_token_file", &text)) {
		plan->token_role = *role;
		return take_token(plan, text, err);
	}
	plan->n++;
	if (find(files, profile, "source_profile", &text)) {
		/* A profile with keys may take its own role by them. */
		if (str_equal(text, profile))
			return take_keys(files, profile, plan, err);
		*ret_next = text;
		return has(files, text) ||
		       error_set(err, ERROR_INVALID, NULL, "source_profile names \"%.*s\", which no file has",
			       (int)(text.len < 80 ? text.len : 80), text.at);
	}
	if (find(files, profile, "credential_source", &text))
		return take_named_source(identity, text, plan, err);
	return take_keys(files, profile, plan, err);
}

/* From the first role that is needed to the last: a profile names them the other way round. */
static void turn_roles(struct s3_plan *plan)
{
	for (size_t i = 0; i < plan->n / 2; i++) {
		struct s3_role other = plan->roles[i];

		plan->roles[i] = plan->roles[plan->n - 1 - i];
		plan->roles[plan->n - 1 - i] = other;
	}
}

static bool plan_profile(const struct s3_identity *identity, const struct files *files, struct str profile,
	struct s3_plan *plan, struct error *err)
{
	struct str arn, next = profile;

	snprintf(plan->name, sizeof plan->name, "profile \"%.*s\"",
		(int)(profile.len < 128 ? profile.len : 128), profile.at);
	plan->renews = true;
	while (next.len) {
		profile = next;
		next = STR_NONE;
		if (!refuse_unserved(files, profile, err))
			break;
		if (!find(files, profile, "role_arn", &arn)) {
			if (!take_keys(files, profile, plan, err))
				break;
		} else if (!take_role(identity, files, profile, arn, plan, &next, err)) {
			break;
		}
		if (!next.len) {
			turn_roles(plan);
			return true;
		}
	}
	return error_add(err, "profile \"%.*s\" of the files of AWS",
		(int)(profile.len < 80 ? profile.len : 80), profile.at);
}

/* ---- the order ---- */

static bool plan_files(
	const struct s3_identity *identity, struct s3_plan *plan, bool *ret_found, struct error *err)
{
	__attribute__((cleanup(files_fini))) struct files files = { .credentials = buf_limit(FILE_MAX),
		.config = buf_limit(FILE_MAX) };
	struct str profile = str_of(set(identity->profile) ? identity->profile : "default");

	if (!files_read(identity, &files, err))
		return false;
	*ret_found = has(&files, profile);
	if (!*ret_found)
		return !set(identity->profile) ||
		       error_set(err, ERROR_INVALID, NULL,
			       "AWS_PROFILE: neither the file of credentials nor that of roles has the "
			       "profile \"%s\"",
			       identity->profile);
	return plan_profile(identity, &files, profile, plan, err);
}

static bool plan_web_identity(const struct s3_identity *identity, struct s3_plan *plan, struct error *err)
{
	snprintf(plan->name, sizeof plan->name, "web identity (AWS_WEB_IDENTITY_TOKEN_FILE)");
	plan->renews = true;
	if (!set(identity->role))
		return error_set(err, ERROR_INVALID, NULL,
			"AWS_WEB_IDENTITY_TOKEN_FILE needs AWS_ROLE_ARN, the role that its token is for");
	return fill_role(&plan->token_role, str_of(identity->role),
		       str_of(set(identity->role_session) ? identity->role_session : "zot"), err) &&
	       take_token(plan, str_of(identity->token_file), err);
}

static bool plan_other(const struct s3_identity *identity, struct s3_plan *plan, struct error *err)
{
	bool found = false;

	if (!plan_files(identity, plan, &found, err))
		return false;
	if (found)
		return true;
	plan->renews = true;
	if (set(identity->container_path) || set(identity->container_url)) {
		plan->source = S3_SOURCE_CONTAINER;
		snprintf(plan->name, sizeof plan->name, "container (AWS_CONTAINER_CREDENTIALS_%s_URI)",
			set(identity->container_path) ? "RELATIVE" : "FULL");
		return true;
	}
	if (identity->metadata_off)
		return error_set(err, ERROR_INVALID, NULL,
			"no keys for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
			"AWS_WEB_IDENTITY_TOKEN_FILE, AWS_PROFILE or AWS_CONTAINER_CREDENTIALS_FULL_URI "
			"(AWS_EC2_METADATA_DISABLED is true)");
	plan->source = S3_SOURCE_METADATA;
	snprintf(plan->name, sizeof plan->name, "metadata service of the machine");
	return true;
}

bool s3_identity_plan(const struct s3_identity *identity, struct s3_plan *ret, struct error *err)
{
	*ret = (struct s3_plan){ .n = 0 };
	if (set(identity->access_key) || set(identity->secret_key)) {
		snprintf(ret->name, sizeof ret->name, "settings (keys)");
		return take_environment(identity, ret, err);
	}
	if (set(identity->token_file))
		return plan_web_identity(identity, ret, err);
	return plan_other(identity, ret, err);
}
