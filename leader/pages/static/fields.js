// SPDX-License-Identifier: Apache-2.0
// fields - the schemas of the entities, for a leader without GET /api/openapi.json.
const text = (description, more = {}) => ({ type: "string", description, ...more });
const secret = (description, more = {}) => text(description, { writeOnly: true, format: "password", ...more });
const texts = (description, items = {}) => ({ type: "array", items: { type: "string", ...items }, description });
const bool = (description, fallback) => ({ type: "boolean", description, default: fallback });
const count = (description, more = {}) => ({ type: "integer", minimum: 0, default: 0, description, ...more });
const time = (description) => ({ type: "string", format: "date-time", default: 0, description });
const pairs = (description) => ({ type: "object", additionalProperties: { type: "string" }, description });

const ACTIONS = { enum: ["read", "create", "update", "delete", "detectManifestCollision"] };

const QUOTAS = {
	throttlingQuota: count("Calls a second; 0 = no limit."),
	dailyQuota: count("Calls a UTC day; 0 = no limit."),
	monthlyQuota: count("Calls a UTC month; 0 = no limit."),
	monthlyBytes: count("Bytes in and out a UTC month; 0 = no limit."),
};

const user = {
	id: text("The name."),
	password: secret("The password itself, 8 to 72 bytes; it is hashed at once and never stored.", { minLength: 8, maxLength: 72 }),
	groups: texts("Groups that the user is in."),
	roles: texts("Roles: admin, reader, key-manager:<group>."),
	enabled: bool("A user who is not enabled is refused everywhere.", true),
	...QUOTAS,
	metadata: pairs("Free notes; the registry does not read them."),
};

const apikey = {
	owner: text("The user for whom the key acts.", { "x-immutable": true }),
	label: text("What people call the key.", { maxLength: 255 }),
	scopes: texts("What the key may do, \"<glob>:<action>[,<action>...]\"; empty means all that the owner may."),
	enabled: bool("A key that is not enabled is refused everywhere.", true),
	validUntil: time("From then on the key is refused; 0 = valid for ever."),
	...QUOTAS,
	tags: texts("Labels for finding keys."),
	metadata: pairs("Free notes; the registry does not read them."),
};

const rule = {
	type: "object",
	properties: {
		users: texts("Users to whom the rule applies."),
		groups: texts("Groups to which the rule applies."),
		actions: texts("What they may do.", ACTIONS),
	},
};

const policy = {
	id: text("A pattern of repositories: team/**, public/*, **."),
	policies: { type: "array", items: rule, description: "Rules for users and groups." },
	defaultPolicy: texts("What every authenticated user may do.", ACTIONS),
	anonymousPolicy: texts("What anybody may do.", ACTIONS),
};

const group = {
	id: text("The name."),
	users: texts("Users who are in the group."),
	description: text("What people know of the group."),
};

const worker = {
	id: text("The worker's name, CLUSTER_WORKER_NAME."),
	description: text("What people know of the worker.", { maxLength: 255 }),
	enabled: bool("A worker whose credential is not enabled is refused.", true),
	validUntil: time("From then on the credential is refused; 0 = valid for ever."),
};

const adminPolicy = {
	users: texts("Users to whom it applies."),
	groups: texts("Groups to which it applies."),
	actions: texts("What they may do in every repository.", { enum: ["read", "create", "update", "delete"] }),
};

const settings = {
	leaseMs: count("A worker that did not report for so long is lost, in milliseconds.", { minimum: 1000, maximum: 600000, default: 6000 }),
	pushEveryMs: count("How often workers report usage, in milliseconds; less than leaseMs.", { minimum: 100, maximum: 60000, default: 2000 }),
	grantMs: count("For how long a worker may use a daily quota's grant that no leader has confirmed since, in milliseconds.", { minimum: 1000, maximum: 600000, default: 15000 }),
	pollWaitMs: count("How long a leader holds a worker's question for a new state, in milliseconds; 0 = plain polling.", { maximum: 60000, default: 25000 }),
	isolated: bool("The storage of each worker is its own.", false),
};

const whole = (properties, ...required) => ({ type: "object", properties, required });

export const FIELDS = {
	user: whole(user, "id"),
	group: whole(group, "id"),
	apikey: whole(apikey, "owner"),
	policy: whole(policy, "id"),
	worker: whole(worker, "id"),
	settings: whole(settings),
	admin_policy: whole(adminPolicy),
};
