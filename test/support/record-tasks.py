"""Records what SkyPilot's own parser makes of the tasks in test/recordings/tasks, and of what skypilot/task.ts writes.

Run it with a Python that has skypilot==0.14.1, from the root of the project, after a change to the tasks or to how they
are written. Every `<name>.yaml` gets a `<name>.json`: `normal`, the form that SkyPilot gives the task, and `written`,
our YAML of it, from which SkyPilot must read the same. `invalid.json` gets the words in which SkyPilot refuses.
With a number as argument it also sends that many random texts there and back.
"""

import json
import logging
import os
import pathlib
import random
import subprocess
import sys

os.environ.setdefault('SKYPILOT_DISABLE_USAGE_COLLECTION', '1')
import sky  # noqa: E402
import yaml  # noqa: E402

logging.disable(logging.CRITICAL)
FOLDER = pathlib.Path('test/recordings/tasks')
NODE = '''
import { Task } from './skypilot/task.ts'
let text = ''
for await (const chunk of process.stdin) text += chunk
const one = ({ yaml, fields }) => {
  try {
    return { written: (fields ? new Task(fields) : Task.fromYaml(yaml)).toYaml() }
  } catch (error) {
    return { refused: error.message }
  }
}
console.log(JSON.stringify(JSON.parse(text).map(one)))
'''


def ours(cases):
    node = subprocess.run(['node', '--input-type=module', '-e', NODE], input=json.dumps(cases), text=True,
                          check=True, capture_output=True)
    return json.loads(node.stdout)


def normal(text):
    config = sky.Task.from_yaml_str(text).to_yaml_config()
    config.pop('_user_specified_yaml', None)
    # SkyPilot holds alternatives without an order in a set.
    alternatives = config.get('resources', {}).get('any_of')
    if alternatives is not None:
        alternatives.sort(key=lambda each: json.dumps(each, sort_keys=True))
    return json.loads(json.dumps(config))


def refusal(text):
    try:
        normal(text)
    except Exception as error:  # pylint: disable=broad-except
        return f'{type(error).__name__}: {error}'.strip()
    return None


def record():
    paths = sorted(FOLDER.glob('*.yaml'))
    results = ours([{'yaml': path.read_text()} for path in paths])
    failures = 0
    for path, result in zip(paths, results):
        try:
            expected = normal(path.read_text())
        except Exception as error:  # pylint: disable=broad-except
            print(f'{path.name}: SkyPilot refuses: {error!r}')
            failures += 1
            continue
        if 'refused' in result:
            print(f'{path.name}: we refuse: {result["refused"]}')
            failures += 1
            continue
        read = normal(result['written'])
        if read != expected:
            print(f'{path.name}: differs\n  {expected}\n  {read}')
            failures += 1
        recording = {'normal': expected, 'written': result['written']}
        path.with_suffix('.json').write_text(json.dumps(recording, indent=2, ensure_ascii=False) + '\n')
    print(f'{len(paths) - failures} of {len(paths)} tasks read the same')
    return failures


def record_invalid():
    path = FOLDER / 'invalid.json'
    cases = json.loads(path.read_text())
    failures = 0
    for case, result in zip(cases, ours(cases)):
        case['skypilot'] = refusal(case['yaml'])
        if case['skypilot'] is None or not result.get('refused', '').startswith(case['field']):
            print(f'{case}: {result}')
            failures += 1
    path.write_text(json.dumps(cases, indent=2, ensure_ascii=False) + '\n')
    print(f'{len(cases) - failures} of {len(cases)} wrong tasks are refused by both')
    return failures


def texts(count):
    rng = random.Random(7)
    pieces = ['yes', 'no', '~', '1', '0', '.', ':', '-', ' ', '\n', '\t', '#', '"', "'", '\\', '{', '}', '[', ']', ',',
              '&', '*', '!', '|', '>', '%', '@', '`', '=', '<<', '?', 'e', 'x', '_', '+', 'é', '\U0001f600', '\x85',
              '\u2028', '\xa0', '\ufeff', '\x07', '\x7f', '\r', 'null', 'inf', '2024-01-01', 'T', 'Z']
    wanted = [''.join(rng.choice(pieces) for _ in range(rng.randint(0, 12))) for _ in range(count)]
    failures = 0
    for text, result in zip(wanted, ours([{'fields': {'run': text, 'envs': {'A': text}}} for text in wanted])):
        try:
            read = yaml.safe_load(result['written'])
        except Exception as error:  # pylint: disable=broad-except
            read = error
        if read != {'run': text, 'envs': {'A': text}}:
            print(f'{text!r}: {result} is read as {read!r}')
            failures += 1
    print(f'{count - failures} of {count} texts come back')
    return failures


def scalars(count):
    """Random words as values of environment variables: we must take them for what PyYAML does."""
    rng = random.Random(11)
    words = [''.join(rng.choice('0123456789.+-_:eExbo ntfysTZ') for _ in range(rng.randint(1, 8))) for _ in range(count)]
    yamls = [f'envs:\n  A: {word}\n' for word in words]
    failures = 0
    for text, result in zip(yamls, ours([{'yaml': text} for text in yamls])):
        said = refusal(text)
        if (said is None) != ('written' in result):
            print(f'{text!r}: {result}, SkyPilot: {said}')
            failures += 1
        elif said is None and normal(text) != normal(result['written']):
            print(f'{text!r}: {result} {normal(text)}')
            failures += 1
    print(f'{count - failures} of {count} words are taken for the same')
    return failures


if __name__ == '__main__':
    wrong = record() + record_invalid()
    if len(sys.argv) > 1:
        wrong += texts(int(sys.argv[1])) + scalars(int(sys.argv[1]))
    sys.exit(1 if wrong else 0)
