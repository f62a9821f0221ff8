'use strict';
// Prisma's query engine as WebAssembly, from @prisma/client, over PostgreSQL's driver for Node.js.
const fs = require('node:fs');
const path = require('node:path');
const pg = require('pg');
const { PrismaPg } = require('@prisma/adapter-pg');
const { bindAdapter } = require('@prisma/driver-adapter-utils');
const { parse, readModels } = require('./protocol');

const ENGINE_VERSION = '393aa359c9ad4a4bb28630fb5613f9c281cde053'; // what Prisma's Python client 0.15.0 asks for
const RUNTIME = path.join(path.dirname(require.resolve('@prisma/client/package.json')), 'runtime');
const NO_TRACE = '{}';

const TEXT = 25;
// The adapter refuses column types that it doesn't know; the native engine reads them as text. These it knows (object ids of pg_type).
const KNOWN_TYPES = new Set([
  16, 17, 20, 21, 23, 25, 26, 114, 142, 143, 199, 650, 651, 700, 701, 790, 791, 869, 1000, 1001, 1002, 1005, 1007, 1009, 1014, 1015, 1016,
  1021, 1022, 1028, 1041, 1042, 1043, 1082, 1083, 1114, 1115, 1182, 1183, 1184, 1231, 1266, 1560, 1561, 1562, 1563, 1700, 2950, 2951, 3802,
  3807,
]);
const FIRST_USER_TYPE = 16384; // enums and other types of the database's own: the adapter has its way with them
const PARSED_BY_DRIVER = [600, 718, 1186]; // point, circle, interval: as text, not as the driver's objects

// What the native engine says of a connection that can't be had; the WebAssembly engine says "external connector" to all of them.
const OUTAGES = [
  [/timeout exceeded when trying to connect/, 'P2024', () => 'Timed out fetching a new connection from the connection pool.'],
  [/Connection terminated|ECONNRESET|EPIPE|terminating connection|57P0[12]/, 'P1017', () => 'Server has closed the connection.'],
  [
    /ECONNREFUSED|ENOTFOUND|ETIMEDOUT|EHOSTUNREACH|EAI_AGAIN|AggregateError|57P03|database system is (starting|shutting)/,
    'P1001',
    (server) => `Can't reach database server at \`${server}\`\n\nPlease make sure your database server is running at \`${server}\`.`,
  ],
];

/** The database's URL: the client's own choice, else the one that the schema takes from the environment. */
function databaseUrl(schema) {
  const [override] = JSON.parse(process.env.OVERWRITE_DATASOURCES ?? '[]');
  return new URL(override?.url ?? process.env[/url\s*=\s*env\("(\w+)"\)/.exec(schema)[1]]);
}

function makePool(url) {
  const limit = url.searchParams.get('connection_limit');
  const patience = url.searchParams.get('pool_timeout'); // seconds
  const bare = new URL(url);
  bare.search = '';
  const pool = new pg.Pool({
    connectionString: bare.href,
    max: Number(limit ?? 10),
    connectionTimeoutMillis: Number(patience ?? 10) * 1000,
    options: '-c TimeZone=UTC',
  });
  // Without a listener, losing an idle connection would end the process.
  pool.on('error', (error) => console.error('query engine: an idle connection was lost:', error.message));
  return pool;
}

function widenAdapter() {
  for (const type of PARSED_BY_DRIVER) pg.types.setTypeParser(type, (text) => text);
  const queryable = Object.getPrototypeOf(PrismaPg.prototype);
  const { performIO } = queryable;
  queryable.performIO = async function performWidened(query) {
    const result = await performIO.call(this, query);
    for (const field of result.ok ? result.value.fields ?? [] : []) {
      if (!KNOWN_TYPES.has(field.dataTypeID) && field.dataTypeID < FIRST_USER_TYPE) field.dataTypeID = TEXT;
    }
    return result;
  };
}

function load() {
  const glue = require(path.join(RUNTIME, 'query_engine_bg.postgresql.js'));
  const module = new WebAssembly.Module(fs.readFileSync(path.join(RUNTIME, 'query_engine_bg.postgresql.wasm')));
  glue.__wbg_set_wasm(new WebAssembly.Instance(module, { './query_engine_bg.js': glue }).exports);
  return glue.QueryEngine;
}

/** Turns a user-facing error into what the native engine would have said. */
function explainer(registry, server) {
  return function explain(error) {
    if (error.error_code !== 'P2036') return error;
    const id = Number(error.meta?.id);
    const cause = registry.consumeError(id)?.error;
    delete registry.registeredErrors[id]; // the registry itself never forgets
    const text = cause ? `${cause.code ?? ''} ${cause.message || cause}` : error.message;
    const [, code, message] = OUTAGES.find(([pattern]) => pattern.test(text)) ?? [null, 'P2036', () => text];
    return { is_panic: false, message: message(server), meta: error.meta, error_code: code };
  };
}

/** The engine for the schema that PRISMA_DML_PATH names; its methods take and give objects, its errors are the native engine's. */
async function connect() {
  const schema = fs.readFileSync(process.env.PRISMA_DML_PATH, 'utf8');
  const url = databaseUrl(schema);
  widenAdapter();
  const pool = makePool(url);
  const adapter = bindAdapter(new PrismaPg(pool));
  const explain = explainer(adapter.errorRegistry, `${url.hostname}:${url.port || 5432}`);
  const QueryEngine = load();
  const engine = new QueryEngine(
    {
      // The WebAssembly engine runs only with a preview feature of the JavaScript client, and knows none of the Python client's settings.
      datamodel: schema.replace(
        /generator\s+\w+\s*\{[^}]*\}/,
        'generator client {\n provider = "prisma-client-js"\n previewFeatures = ["driverAdapters"]\n}',
      ),
      logLevel: 'error',
      logQueries: false,
      configDir: '.',
      datasourceOverrides: {},
      ignoreEnvVarErrors: true,
      env: {},
    },
    (entry) => console.error('query engine:', String(entry)),
    adapter,
  );
  await engine.connect(JSON.stringify({ enabled: false }));
  const transaction = async (result) => {
    const told = parse(await result) ?? {};
    return told.error_code ? failure(explain(told)) : told;
  };
  const explained = (result) => {
    if (!result.errors) return result;
    return { errors: result.errors.map((each) => (each.user_facing_error ? { ...each, ...failure(explain(each.user_facing_error)).errors[0] } : each)) };
  };
  return {
    models: readModels(schema),
    async query(text, id) {
      const result = explained(parse(await engine.query(text, NO_TRACE, id)));
      return result.batchResult ? { ...result, batchResult: result.batchResult.map(explained) } : result;
    },
    startTransaction: (options) => transaction(engine.startTransaction(JSON.stringify(options), NO_TRACE)),
    commitTransaction: (id) => transaction(engine.commitTransaction(id, NO_TRACE)),
    rollbackTransaction: (id) => transaction(engine.rollbackTransaction(id, NO_TRACE)),
    close: () => pool.end(),
  };
}

/** An error as the protocol sends it; by the first words of the inner text the client tells an expired transaction. */
const failure = (error) => ({ errors: [{ error: error.message.replace(/^Transaction API error: /, ''), user_facing_error: error }] });

module.exports = { ENGINE_VERSION, connect, failure };
