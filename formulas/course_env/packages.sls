{%- from 'course_env/map.jinja' import course_env with context %}
{%- set found = namespace(packages=course_env.apt) %}
{%- for language in course_env.languages %}
{%-   set found.packages = found.packages + course_env.language_packages[language] %}
{%- endfor %}

include:
  - course_env.environment

# Programs that a class expects in a terminal. Installed in one transaction with the other formulas' packages.
course_env-tools:
  pkg.installed:
    - pkgs: {{ course_env.tools | json }}
{%- if course_env.pdf %}

# Letters of all scripts, and emoji: Typst itself has Latin, Greek, Cyrillic and formulas.
course_env-fonts:
  pkg.installed:
    - pkgs: {{ course_env.pdf_fonts | json }}
{%- endif %}
{%- if found.packages %}

# In a separate transaction: a name that Debian does not have must not prevent other installations.
course_env-packages:
  pkg.installed:
    - pkgs: {{ found.packages | unique | sort | json }}
    - aggregate: False
{%- endif %}
