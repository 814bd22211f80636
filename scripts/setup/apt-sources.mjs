// Which of the system's apt sources are asked for a driver. Pure.
//
// Only the distribution's own suites: other repositories on a developer's machine hold no Mesa, and
// one of them that does not answer would fail the update. Debian 12 gets its backports in addition,
// from the mirror that is already configured, because the Mesa of Debian 12 is too old for Dawn.

const SUITE_ENDINGS = ['', '-updates', '-security', '/updates', '-backports'];
const ALIASES = ['stable', 'oldstable', 'oldoldstable', 'testing', 'unstable', 'sid'];

/**
 * From the system's source files ({ name, text }: one-line *.list or deb822 *.sources) the files to use
 * instead, and the suite to prefer (null: none). No files: the system's own are to be used as they are.
 */
export function privateSources(files, codenames) {
  const entries = files.flatMap(({ name, text }) =>
    name.endsWith('.sources') ? stanzas(text) : lines(text),
  );
  const usable = entries.filter((entry) => entry.types.includes('deb') && !entry.uris.every(isDisc));
  const own = usable.filter(
    (entry) => entry.components.includes('main') && entry.suites.some((suite) => isSuiteOf(suite, codenames)),
  );
  if (own.length === 0) return { files: [], preferredSuite: null };

  const chosen = [...own];
  let preferredSuite = null;
  if (codenames.includes('bookworm')) {
    preferredSuite = 'bookworm-backports';
    if (!own.some((entry) => entry.suites.includes(preferredSuite))) {
      const main = own.find((entry) =>
        entry.suites.some((suite) => ['bookworm', ...ALIASES].includes(suite)),
      );
      if (main === undefined) preferredSuite = null;
      else chosen.push(main.withSuite(preferredSuite));
    }
  }
  const list = chosen.filter((entry) => entry.format === 'list').map((entry) => entry.text);
  const sources = chosen.filter((entry) => entry.format === 'sources').map((entry) => entry.text);
  return {
    files: [
      ...(list.length > 0 ? [{ name: 'private.list', text: `${list.join('\n')}\n` }] : []),
      ...(sources.length > 0 ? [{ name: 'private.sources', text: `${sources.join('\n\n')}\n` }] : []),
    ],
    preferredSuite,
  };
}

function isSuiteOf(suite, codenames) {
  return [...codenames, ...ALIASES].some((name) => SUITE_ENDINGS.some((ending) => suite === name + ending));
}

function isDisc(uri) {
  return uri.startsWith('cdrom:');
}

/** `deb [options] uri suite component...` */
function lines(text) {
  const entries = [];
  for (const line of text.split('\n')) {
    const match = /^\s*(deb(?:-src)?)\s+(\[[^\]]*\]\s+)?(\S+)\s+(\S+)((?:\s+[^#\s]\S*)*)/.exec(line);
    if (match === null) continue;
    const [, type, options = '', uri, suite, components] = match;
    entries.push({
      format: 'list',
      text: match[0].trim(),
      types: [type],
      uris: [uri],
      suites: [suite],
      components: components.trim().split(/\s+/),
      withSuite: (other) => ({ format: 'list', text: `deb ${options}${uri} ${other} main` }),
    });
  }
  return entries;
}

/** deb822: stanzas of `Field: value`, a line that begins with a space goes on with the value. */
function stanzas(text) {
  const entries = [];
  const withoutComments = text.replace(/^#.*\n?/gm, '');
  for (const stanza of withoutComments.split(/\n(?:[ \t]*\n)+/)) {
    const fields = stanza.split(/\n(?![ \t])/).filter((field) => /^[A-Za-z][\w-]*:/.test(field));
    const words = (name) => {
      const field = fields.find((line) => line.toLowerCase().startsWith(`${name}:`));
      return field === undefined
        ? []
        : field
            .slice(name.length + 1)
            .trim()
            .split(/\s+/);
    };
    if (
      words('uris').length === 0 ||
      ['no', 'false', '0', 'off'].includes(words('enabled')[0]?.toLowerCase())
    )
      continue;
    const rest = fields.filter((field) => !/^(types|suites|components):/i.test(field));
    entries.push({
      format: 'sources',
      text: fields.join('\n'),
      types: words('types'),
      uris: words('uris'),
      suites: words('suites'),
      components: words('components'),
      withSuite: (other) => ({
        format: 'sources',
        text: ['Types: deb', `Suites: ${other}`, 'Components: main', ...rest].join('\n'),
      }),
    });
  }
  return entries;
}

/** Whether a version of the package mesa-vulkan-drivers is one that Dawn accepts: 23.2 or later. */
export function isMesaNewEnough(version) {
  const match = /^(?:\d+:)?(\d+)\.(\d+)/.exec(version);
  if (match === null) return false;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return major > 23 || (major === 23 && minor >= 2);
}

/** The candidate in the answer of `apt-cache policy`, or null. */
export function candidateVersion(policy) {
  const version = /^\s*Candidate:\s*(\S+)/m.exec(policy)?.[1];
  return version === undefined || version === '(none)' ? null : version;
}

/** The bytes that `apt-get --print-uris` says are to be fetched, and how many packages. */
export function downloadSize(uris) {
  const sizes = [...uris.matchAll(/^'[^']*' \S+ (\d+)/gm)].map((match) => Number(match[1]));
  return { count: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}
