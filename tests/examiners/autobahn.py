# The Autobahn testsuite's fuzzing client (Python 2.7): `python autobahn.py <folder of packages> <spec>`.
#
# The packages are in a folder of their own instead of an environment, so that nothing of the interpreter is touched; some
# of them are namespaces, which only `addsitedir` puts together.

import site
import sys

packages, spec = sys.argv[1:]
sys.path.insert(0, packages)
site.addsitedir(packages)
sys.argv = ["wstest", "--mode", "fuzzingclient", "--spec", spec]

from autobahntestsuite import wstest  # noqa: E402

wstest.run()
