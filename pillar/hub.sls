# Translates a course's choices into the keys of the formulas; only this file knows both. It reads like a table: loops and
# decisions are in pillar/hub/. docs/formulas.md says where a fact belongs.
{%- from 'hub/course.jinja' import course, defaults, names, people, secrets, server, subdomains with context %}
{%- from 'hub/people.jinja' import accounts, full_names with context %}
{%- from 'hub/backup.jinja' import targets with context %}
{%- from 'hub/idle.jinja' import idle with context %}
{%- from 'hub/material.jinja' import data, pulled, repositories with context %}
{%- from 'hub/signin.jinja' import client_secret, identities, settings with context %}
{%- set certificate = server.paths.certificates ~ '/' ~ course.domain %}
{%- set logo = '/.coursehub/' ~ course.page.logo if course.page.logo else '' %}

base:
  hostname: {{ course.domain }}
  timezone: {{ course.timezone }}
  sshd:
    # The class works in the browser; a person who needs a shell has an admin account. A person who left stays in the
    # class's group.
    deny_groups: {{ ([server.groups.everybody] + server.groups.all_roles) | json }}

nginx:
  sites:
    {{ course.domain }}:
      aliases: {{ names[1:] | json }}
      subdomains: {{ subdomains | json }}
      upload_limit: {{ course.upload_limit }}
      owners: {{ ({} if subdomains else {'enter': server.app.enter}) | json }}
{%- if logo %}
      static: {{ {logo: 'salt://logos/' ~ course.page.logo} | json }}
{%- endif %}
      certificate: {{ certificate }}/fullchain.pem
      key: {{ certificate }}/privkey.pem

firewall:
  people:
    only: {{ course.network.only | json }}
    also: {{ course.network.campus | json }}
    way_out: {direct: {{ names | json }}}

letsencrypt:
  email: {{ course.contact | json }}
{%- if subdomains %}
  # One certificate for all names below the hub's, so that public logs of certificates contain no account. The firewall
  # is open for the authority's questions during an order, and closes by itself.
  names: {{ [course.domain, '*.' ~ course.domain] | json }}
  challenge: dns
{%-   set ports = 'inet coursehub open_for_a_while' %}
  open_dns: [/usr/sbin/nft, 'add element {{ ports }} { udp . 53 timeout 6m, tcp . 53 timeout 6m }']
  close_dns: [/usr/sbin/nft, 'add element {{ ports }} { udp . 53 timeout 6m, tcp . 53 timeout 6m }; delete element {{ ports }} { udp . 53, tcp . 53 }']
{%- else %}
  names: {{ names | json }}
{%- endif %}

accounts:
  left_file: {{ server.paths.left }}
  # The backups make it (coursehub_backup/config.py, staged).
  database_copy: /var/lib/coursehub-backup/databases/{{ server.paths.hub_database.strip('/').replace('/', '--') }}
  people: {{ accounts | json }}

homes:
  limits: {each: {{ course.limits.disk | json }} }

course_env:
  lock: salt://locks/{{ opts.id }}.txt
  # Octave's kernel is a Python package, so it is tested with the course's imports.
  extra_imports: {{ (course.imports + (['octave_kernel'] if 'octave' in course.kernels else [])) | json }}
  apt: {{ course.apt | json }}
  languages: {{ course.kernels | json }}
  pdf: {{ course.pdf | json }}
  upload_limit: {{ course.upload_limit }}
  idle: {{ idle | json }}
  class_links: {root: {{ server.paths.shared }}, team_prefix: {{ server.groups.team_prefix }}}
  own: {help: {{ (course.page.help or '') | json }}, closed: {{ (course.network.only is not none) | json }} }
  pull:
    help: {{ (course.page.help or '') | json }}
    repositories: {{ pulled | json }}

backup:
  targets: {{ targets | json }}
  password: {{ secrets.get('backup-password', '') | json }}
  hours: {{ ([course.backup.hours.first, course.backup.hours.last] if course.backup.hours else none) | json }}
  keep: {{ course.backup.keep | json }}
  upload_limit: {{ course.backup.upload_limit }}
  alert: {{ course.alert | json }}

material:
  group: {{ server.groups.everybody }}
  repositories: {{ repositories | json }}
  data: {{ data | json }}

jupyterhub:
  subdomain_host: {{ ('https://' ~ course.domain if subdomains else '') | json }}
  left_file: {{ server.paths.left }}
  work:
    team_prefix: {{ server.groups.team_prefix }}
    teams: {{ server.paths.shared }}/groups
    disk: {{ server.paths.disk_usage }}/summary.json
    backup: {{ server.paths.backup_problem }}
  signin:
    kind: {{ course.signin.kind }}
    settings: {{ settings | json }}
    client_secret: {{ client_secret | json }}
    local_accounts: [{{ server.accounts.check }}]
  identities: {{ identities | json }}
  names: {{ full_names | json }}
  page:
    title: {{ course.title | json }}
    message: {{ (course.page.message or '') | json }}
    help: {{ (course.page.help or '') | json }}
    logo: {{ logo | json }}
  spawner:
    mem_limit: {{ course.limits.memory }}
    cpu_limit: {{ course.limits.cpu }}
    tasks_max: {{ course.limits.tasks }}
  before_class:
    times: {{ course.timetable | json }}
    zone: {{ course.timezone }}
    term: {{ ([course.term.first, course.term.last] | map('string') | list if course.term else none) | json }}
  culler:
    timeout: {{ idle.seconds }}
    groups: {{ idle.groups | json }}
    # A tenth of the time, so that a short time also works.
    every: {{ [idle.seconds // 10, 300] | min }}
