# What a course's choices mean for each formula. The only place where both vocabularies meet.
{%- import_yaml 'courses/' ~ opts.id ~ '.sls' as file %}
{%- set course = file.course %}
{#- Not in the course file: the encrypted class list. What Salt cannot decrypt ends the rendering, with its reason. #}
{%- set class_list %}{% include 'secrets/' ~ opts.id ~ '-people.sls' ignore missing %}{% endset %}
{%- set people = course.people if 'people' in course else salt['slsutil.renderer'](string=class_list).people %}
{#- The course's secrets by name, for formulas that take one: `secrets['google-client-secret']`. #}
{%- set secret_file %}{% include 'secrets/' ~ opts.id ~ '.sls' ignore missing %}{% endset %}
{%- set secrets = salt['slsutil.renderer'](string=secret_file) if secret_file.strip() else {} %}
{%- set limits = course.get('limits', {}) %}
{%- set signin = course.get('signin', {}) %}
{%- set kind = signin.get('kind', 'password') %}
{%- set page = course.get('page', {}) %}
{%- set material = course.get('material', {}) %}
{%- set names = [course.domain] + (['www.' ~ course.domain] if course.get('www', true) else []) %}
{%- set subdomains = course.get('isolation', 'paths') == 'subdomains' %}
{%- set certificate = '/etc/ssl/coursehub/' ~ course.domain %}
{#- Teams are Unix groups with a directory each; no person's account may begin so (runner/course/people.py). #}
{%- set team_prefix = 'team-' %}
{#- By this file the accounts tell the hub who left; nobody else's business. #}
{%- set left_file = '/var/lib/coursehub/left.json' %}
{%- set class_root = '/srv/class' %}

base:
  hostname: {{ course.domain }}
  timezone: {{ course.get('timezone', 'Etc/UTC') }}
  sshd:
    # The class works in the browser; whoever needs a shell on the server has an admin account. Who left stays in "class".
    deny_groups: [class, students, instructors, assistants, guests]

nginx:
  sites:
    {{ course.domain }}:
      aliases: {{ names[1:] | json }}
      subdomains: {{ subdomains | json }}
      upstream: http://unix:/run/coursehub/front/proxy.sock
      upload_limit: {{ course.get('upload_limit', '100M') }}
      owners: {{ ({} if subdomains else {'enter': '/hub/enter'}) | json }}
{%- if page.get('logo') %}
      static:
        /.coursehub/{{ page.logo }}: salt://logos/{{ page.logo }}
{%- endif %}
      certificate: {{ certificate }}/fullchain.pem
      key: {{ certificate }}/privkey.pem

firewall:
  people: {only: {{ course.get('network', {}).get('only') | json }}, also: {{ course.get('network', {}).get('campus', []) | json }}, way_out: {direct: {{ names | json }}}}

letsencrypt:
  email: {{ course.contact | json }}
{%- if subdomains %}
  # One certificate for all that is below the hub's name: public logs of certificates say nobody's account. The
  # firewall lets the authority's questions in for as long as it is asked, and shuts by itself if nobody does.
  names: {{ [course.domain, '*.' ~ course.domain] | json }}
  challenge: dns
{%-   set ports = 'inet coursehub open_for_a_while' %}
  open_dns: [/usr/sbin/nft, 'add element {{ ports }} { udp . 53 timeout 6m, tcp . 53 timeout 6m }']
  close_dns: [/usr/sbin/nft, 'add element {{ ports }} { udp . 53 timeout 6m, tcp . 53 timeout 6m }; delete element {{ ports }} { udp . 53, tcp . 53 }']
{%- else %}
  names: {{ names | json }}
{%- endif %}

# Names of people stay out of /etc/passwd, which every student can read.
accounts:
  left_file: {{ left_file }}
  team_prefix: {{ team_prefix }}
  directories:
    root: {{ class_root }}
  people:
{%- for role, group in (('professors', 'instructors'), ('assistants', 'assistants'), ('students', 'students'),
                        ('guests', 'guests')) %}
{%-   for person in people.get(role) or [] %}
    {{ person.account | json }}:
      groups: [{{ group }}{% for team in person.get('groups') or [] %}, {{ team_prefix }}{{ team }}{% endfor %}]
{%-   endfor %}
{%- endfor %}
    # Looks at the hub as a student would: `coursehub check`.
    coursehub-check:
      groups: [students]

course_env:
  lock: salt://locks/{{ opts.id }}.txt
  # Octave's own kernel is a Python package: tried with what the course imports.
  extra_imports: {{ (course.get('imports', []) + (['octave_kernel'] if 'octave' in course.get('kernels', []) else [])) | json }}
  apt: {{ course.get('apt', []) | json }}
  languages: {{ course.get('kernels', []) | json }}
  class_links: {root: {{ class_root }}, team_prefix: {{ team_prefix }}}
  pull:
    help: {{ page.get('help', '') | json }}
    repositories:
{%- for one in material.get('repositories', []) %}
      {{ one.name | json }}: {{ {'url': 'file://' ~ class_root ~ '/material/' ~ one.name, 'branch': one.get('branch', 'main'),
                                 'also': [one.url]} | json }}
{%- else %} {}
{%- endfor %}

{%- if material.get('repositories') or material.get('data') %}
{%-   set repositories, data = {}, {} %}
{%-   for one in material.get('repositories', []) %}
{%-     set entry = {'url': one.url, 'branch': one.get('branch', 'main'), 'host_key': one.get('host_key', '')} %}
{%-     if not one.url.startswith('https://') %}
{%-       do entry.update({'deploy_key': secrets.get('deploy-key-' ~ one.name, '')}) %}
{%-     endif %}
{%-     do repositories.update({one.name: entry}) %}
{%-   endfor %}
{%-   for one in material.get('data', []) %}
{%-     set source = one.source if one.source.startswith('https://') else 'salt://data/' ~ one.source %}
{%-     set entry = {'source': source, 'sha256': one.get('sha256', ''), 'unpack': one.get('unpack', false)} %}
{%-     do data.update({one.name: entry}) %}
{%-   endfor %}

material:
  root: {{ class_root }}
  group: class
  repositories: {{ repositories | json }}
  data: {{ data | json }}
{%- endif %}

{#- What each kind of sign-in is told besides client and secret; formulas/jupyterhub/files/class_signin has the classes. #}
{%- set login = 'https://login.microsoftonline.com/' ~ signin.get('tenant', '') ~ '/oauth2/v2.0/' %}
{%- set by_email = kind != 'github' and (kind != 'oidc' or signin.get('claim', 'email') == 'email') %}
{%- set told = {
    'google': {'hosted_domain': [signin.hosted_domain] if 'hosted_domain' in signin else []},
    'microsoft': {'tenant_id': signin.get('tenant', ''), 'authorize_url': login ~ 'authorize', 'token_url': login ~ 'token',
                  'scope': ['openid', 'email', 'profile'], 'login_service': 'Microsoft'},
    'oidc': {'issuer': signin.get('issuer', ''), 'claim': signin.get('claim', 'email'),
             'scope': ['openid', 'email'] + ([] if by_email else ['profile']),
             'login_service': signin.get('service', 'your college')},
    'lti13': {'issuer': signin.get('issuer', ''), 'client_id': [signin.get('client_id', '')],
              'authorize_url': signin.get('authorize_url', ''), 'jwks_endpoint': signin.get('jwks_url', ''),
              'lms': signin.get('service', 'your course in the LMS')},
  }.get(kind, {}) %}
{%- if kind not in ('password', 'lti13') %}
{%-   do told.update({'client_id': signin.get('client_id', ''),
                      'oauth_callback_url': 'https://' ~ course.domain ~ '/hub/oauth_callback'}) %}
{%- endif %}
{#- What the provider calls a person, and whose account that is. #}
{%- set identities = {} %}
{%- for role in (() if kind == 'password' else ('professors', 'assistants', 'students', 'guests')) %}
{%-   for person in people.get(role) or [] %}
{%-     set identity = person.get('email' if by_email else 'github' if kind == 'github' else 'login') %}
{%-     if identity %}{% do identities.update({identity | lower: person.account}) %}{% endif %}
{%-   endfor %}
{%- endfor %}
jupyterhub:
  subdomain_host: {{ ('https://' ~ course.domain if subdomains else '') | json }}
  left_file: {{ left_file }}
  work:
    hidden: [coursehub-check]
    team_prefix: {{ team_prefix }}
    teams: {{ class_root }}/groups
  signin:
    kind: {{ kind }}
    settings: {{ told | json }}
    client_secret: {{ (secrets.get('oauth-client-secret', '') if kind not in ('password', 'lti13') else '') | json }}
    local_accounts: [coursehub-check]
  identities: {{ identities | json }}
  page:
    title: {{ course.title | json }}
    message: {{ page.get('message', '') | json }}
    help: {{ page.get('help', '') | json }}
    logo: {{ ('/.coursehub/' ~ page.logo if page.get('logo') else '') | json }}
  spawner:
    mem_limit: {{ limits.get('memory', '1G') }}
    cpu_limit: {{ limits.get('cpu', 1.0) }}
    tasks_max: {{ limits.get('tasks', 512) }}
  culler:
    timeout: {{ course.get('idle_after', 120) * 60 }}
